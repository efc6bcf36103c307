"""A fast WordPiece tokenizer in Python that returns exactly the ids of the tokenizers library.

    text --split at blanks--> chunks --ASCII--> words and punctuation --longest match first--> ids
                                     --other--> the library's tokenizer

The library normalises, aligns and tracks character offsets, which a classifier never reads; for a text of a
hundred tokens that takes longer than looking up its words. BERT's tokenizer (Devlin et al. 2019) treats the
chunks between blanks independently, and on ASCII its rules are few: control characters are removed, letters
are lower-cased, each punctuation mark is a word. All other chunks (other scripts, accents, special tokens in
the text) go to the library, so that the ids are equal for any text. Property tests over all of Unicode check
that; `bench data tokens` checks any data set.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANKS = re.compile(r"[ \t\n\r]+")
_MAX_CACHED_WORDS = 1 << 16
"""Words whose pieces are cached; the cache is emptied at this size, so that memory stays bounded."""

EncodeChunks = Callable[[Sequence[str]], list[int]]
"""Returns the library's ids of neighbouring chunks, joined by blanks, without special tokens."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """A tokenizer of BERT's kind with its vocabulary; `fallback` encodes what is not plain ASCII.

    Words of more than `max_chars` characters become the id `unknown`. `prefix` marks the pieces that continue
    a word, `special` holds the tokens that are never split.
    """

    vocabulary: Mapping[str, int]
    unknown: int
    lowercase: bool
    max_chars: int
    prefix: str
    special: tuple[str, ...]
    fallback: EncodeChunks
    _cache: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens around it."""
        if self._is_plain(text):
            return self._encode_ascii(text)
        ids: list[int] = []
        pending: list[str] = []
        for chunk in _BLANKS.split(text):
            if not chunk:
                continue
            if self._is_plain(chunk):
                if pending:
                    ids += self.fallback(pending)
                    pending = []
                ids += self._encode_ascii(chunk)
            else:
                pending.append(chunk)
        return ids + self.fallback(pending) if pending else ids

    def _is_plain(self, text: str) -> bool:
        return text.isascii() and not any(token in text for token in self.special)

    def _encode_ascii(self, text: str) -> list[int]:
        if _CONTROL.search(text):
            text = _CONTROL.sub("", text)
        if self.lowercase:
            text = text.lower()
        vocabulary, cache = self.vocabulary, self._cache
        ids: list[int] = []
        for word in _WORDS.findall(text):
            whole = vocabulary.get(word)
            if whole is not None and len(word) <= self.max_chars:
                ids.append(whole)
            elif word in cache:
                ids += cache[word]
            else:
                ids += self._pieces(word)
        return ids

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Return the ids of a word's pieces, or the unknown token for all of it, and cache them."""
        matched = self._match_longest(word) if len(word) <= self.max_chars else None
        pieces = (self.unknown,) if matched is None else tuple(matched)
        if len(self._cache) >= _MAX_CACHED_WORDS:
            self._cache.clear()
        self._cache[word] = pieces
        return pieces

    def _match_longest(self, word: str) -> list[int] | None:
        """Return the ids of the longest pieces from the word's beginning, None where none fits."""
        ids, start = [], 0
        while start < len(word):
            prefix = self.prefix if start else ""
            for end in range(len(word), start, -1):
                piece = self.vocabulary.get(prefix + word[start:end])
                if piece is not None:
                    ids.append(piece)
                    start = end
                    break
            else:
                return None
        return ids


def read_wordpiece(path: Path, tokenizer: "Tokenizer") -> WordPiece | None:
    """Return the fast tokenizer for a tokenizer.json, or None if that is not of BERT's kind."""
    from harness.common.errors import CheckpointError
    from harness.common.inputs.files import CHECKPOINT_JSON, InvalidText, read_input
    from harness.common.inputs.json_text import parse_json_object

    try:
        description = parse_json_object(read_input(path, CHECKPOINT_JSON, CheckpointError), lenient=True)
    except InvalidText:
        return None  # the library accepts a little more than JSON
    model, normalizer = description["model"], description.get("normalizer") or {}
    pre_tokenizer = description.get("pre_tokenizer") or {}
    types = (model.get("type"), normalizer.get("type"), pre_tokenizer.get("type"))
    if types != ("WordPiece", "BertNormalizer", "BertPreTokenizer") or not normalizer.get("clean_text"):
        return None
    special = tuple(token["content"] for token in description.get("added_tokens", ()))
    vocabulary = model["vocab"]
    if any(not token or token != "".join(token.split()) for token in special):
        return None  # a special token that contains blanks is in no chunk
    if model["unk_token"] not in vocabulary:
        return None
    return WordPiece(
        vocabulary=vocabulary,
        unknown=vocabulary[model["unk_token"]],
        lowercase=bool(normalizer.get("lowercase")),
        max_chars=int(model["max_input_chars_per_word"]),
        prefix=model["continuing_subword_prefix"],
        special=special,
        fallback=lambda chunks: list(tokenizer.encode(" ".join(chunks), add_special_tokens=False).ids),
    )


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids around one text or two: before, between and after, and the segment id of each part."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    segments: tuple[int, int, int, int, int]
    """Of: before, the first text, between, the second text, after."""

    @property
    def count(self) -> int:
        """How many special tokens are added."""
        return len(self.before) + len(self.between) + len(self.after)


def infer_special_tokens(tokenizer: "Tokenizer", *, pair: bool) -> SpecialTokens | None:
    """Return the special tokens that a tokenizer puts around texts, from encoding two letters.

    None if the letters' own ids change when they are framed, or a part has tokens of two segments.
    """
    first = list(tokenizer.encode("a", add_special_tokens=False).ids)
    second = list(tokenizer.encode("b", add_special_tokens=False).ids)
    whole = tokenizer.encode("a", "b") if pair else tokenizer.encode("a")
    ids, type_ids = list(whole.ids), list(whole.type_ids)
    texts = whole.sequence_ids
    if [ids[at] for at, text in enumerate(texts) if text == 0] != first or not first:
        return None
    if pair and [ids[at] for at, text in enumerate(texts) if text == 1] != second:
        return None
    start = texts.index(0)
    end = start + len(first)
    if not pair:
        parts: tuple[list[int], ...] = (ids[:start], [], ids[end:])
        segments = (type_ids[0], type_ids[start], 0, 0, type_ids[-1])
        return _special_tokens(parts, segments, type_ids, (start, len(first), 0, 0, len(ids) - end))
    other = texts.index(1)
    last = other + len(second)
    parts = (ids[:start], ids[end:other], ids[last:])
    segments = (type_ids[0], type_ids[start], type_ids[min(end, other - 1)], type_ids[other], type_ids[-1])
    sizes = (start, len(first), other - end, len(second), len(ids) - last)
    return _special_tokens(parts, segments, type_ids, sizes)


def _special_tokens(
    parts: Sequence[list[int]],
    segments: tuple[int, int, int, int, int],
    type_ids: Sequence[int],
    sizes: Sequence[int],
) -> SpecialTokens | None:
    expected = [segment for segment, size in zip(segments, sizes, strict=True) for _ in range(size)]
    if expected != list(type_ids):
        return None
    before, between, after = (tuple(part) for part in parts)
    return SpecialTokens(before, between, after, segments)
