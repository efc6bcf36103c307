"""WordPiece in Python where that is faster than the library, with the very same ids.

    text --split at blanks--> chunks --ASCII--> words and marks --vocabulary, longest match first--> ids
                                     --else---> the library's tokenizer

A tokenizer library normalises, aligns and counts characters, which a classifier never looks at; for a text
of a hundred tokens that takes longer than looking up its words. BERT's tokenizer (Devlin et al. 2019) is
separable at blanks, and on ASCII it is simple: control characters go, letters become small, marks stand
alone. All else (other scripts, accents, special tokens in the text) goes to the library, chunk by chunk, so
that ids are equal for any text; property tests over all of Unicode hold it, and `bench data tokens` checks
any data.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PIECES = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANKS = re.compile(r"[ \t\n\r]+")
_MOST_WORDS = 1 << 16
"""Words whose pieces are kept; then all are forgotten, so that memory stays bounded."""

Slow = Callable[[Sequence[str]], list[int]]
"""The library's ids of chunks that stand next to each other, blanks between them, without special tokens."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """A tokenizer of BERT's kind, by its vocabulary; `slow` takes what is not plain ASCII."""

    vocabulary: Mapping[str, int]
    unknown: int
    lowercase: bool
    longest: int
    prefix: str
    special: tuple[str, ...]
    slow: Slow
    _known: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens."""
        if text.isascii() and not any(token in text for token in self.special):
            return self._ascii(text)
        found: list[int] = []
        waiting: list[str] = []
        for chunk in _BLANKS.split(text):
            if not chunk:
                continue
            if chunk.isascii() and not any(token in chunk for token in self.special):
                if waiting:
                    found += self.slow(waiting)
                    waiting = []
                found += self._ascii(chunk)
            else:
                waiting.append(chunk)
        return found + self.slow(waiting) if waiting else found

    def _ascii(self, text: str) -> list[int]:
        if _CONTROL.search(text):
            text = _CONTROL.sub("", text)
        if self.lowercase:
            text = text.lower()
        vocabulary, known = self.vocabulary, self._known
        found: list[int] = []
        for word in _PIECES.findall(text):
            whole = vocabulary.get(word)
            if whole is not None and len(word) <= self.longest:
                found.append(whole)
            elif word in known:
                found += known[word]
            else:
                found += self._pieces(word)
        return found

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Return the longest pieces of a word from its beginning, or the unknown token for all of it."""
        made = self._matched(word) if len(word) <= self.longest else None
        pieces = (self.unknown,) if made is None else tuple(made)
        if len(self._known) >= _MOST_WORDS:
            self._known.clear()
        self._known[word] = pieces
        return pieces

    def _matched(self, word: str) -> list[int] | None:
        found, start = [], 0
        while start < len(word):
            lead = self.prefix if start else ""
            for end in range(len(word), start, -1):
                piece = self.vocabulary.get(lead + word[start:end])
                if piece is not None:
                    found.append(piece)
                    start = end
                    break
            else:
                return None
        return found


def wordpiece_of(path: Path, tokenizer: Any) -> WordPiece | None:  # noqa: ANN401 -- a tokenizers.Tokenizer
    """Return the fast way to a tokenizer.json's ids, or None if it is not of BERT's kind."""
    words = json.loads(path.read_text(encoding="utf-8"))
    model, normalizer = words["model"], words.get("normalizer") or {}
    kinds = (model.get("type"), normalizer.get("type"), (words.get("pre_tokenizer") or {}).get("type"))
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer") or not normalizer.get("clean_text"):
        return None
    special = tuple(token["content"] for token in words.get("added_tokens", ()))
    vocabulary = model["vocab"]
    if any(not token or token != "".join(token.split()) for token in special):
        return None  # a special token with blanks in it is not found in chunks
    if model["unk_token"] not in vocabulary:
        return None
    return WordPiece(
        vocabulary=vocabulary,
        unknown=vocabulary[model["unk_token"]],
        lowercase=bool(normalizer.get("lowercase")),
        longest=int(model["max_input_chars_per_word"]),
        prefix=model["continuing_subword_prefix"],
        special=special,
        slow=lambda chunks: list(tokenizer.encode(" ".join(chunks), add_special_tokens=False).ids),
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around one text or two: ids before, between and after, and the segment of each part."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    segments: tuple[int, int, int, int, int]
    """Of: before, the first text, between, the second text, after."""

    @property
    def special(self) -> int:
        """How many special tokens it adds."""
        return len(self.before) + len(self.between) + len(self.after)


def frame_of(tokenizer: Any, *, pair: bool) -> Frame | None:  # noqa: ANN401 -- a tokenizers.Tokenizer
    """Return what special tokens a tokenizer puts around texts, found by trying; None if it is unusual."""
    first = list(tokenizer.encode("a", add_special_tokens=False).ids)
    second = list(tokenizer.encode("b", add_special_tokens=False).ids)
    whole = tokenizer.encode("a", "b") if pair else tokenizer.encode("a")
    ids, kinds = list(whole.ids), list(whole.type_ids)
    sides = whole.sequence_ids
    if [ids[at] for at, side in enumerate(sides) if side == 0] != first or not first:
        return None
    if pair and [ids[at] for at, side in enumerate(sides) if side == 1] != second:
        return None
    start = sides.index(0)
    end = start + len(first)
    if not pair:
        parts: tuple[list[int], ...] = (ids[:start], [], ids[end:])
        marks = (kinds[0], kinds[start], 0, 0, kinds[-1])
        return _frame(parts, marks, kinds, (start, len(first), 0, 0, len(ids) - end))
    other = sides.index(1)
    last = other + len(second)
    parts = (ids[:start], ids[end:other], ids[last:])
    marks = (kinds[0], kinds[start], kinds[min(end, other - 1)], kinds[other], kinds[-1])
    return _frame(parts, marks, kinds, (start, len(first), other - end, len(second), len(ids) - last))


def _frame(
    parts: Sequence[list[int]],
    marks: tuple[int, int, int, int, int],
    kinds: Sequence[int],
    sizes: Sequence[int],
) -> Frame | None:
    told = [mark for mark, size in zip(marks, sizes, strict=True) for _ in range(size)]
    if told != list(kinds):
        return None  # a part whose tokens are of two segments
    before, between, after = (tuple(part) for part in parts)
    return Frame(before, between, after, marks)
