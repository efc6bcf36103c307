"""A fast WordPiece tokenizer in Python that returns exactly the ids of the tokenizers library.

    text --split at blanks--> chunks --ASCII--> words and punctuation --longest match first--> ids
                                     --other--> the library's tokenizer

The library normalises, aligns and tracks character offsets, which a classifier never reads; for a text of a
hundred tokens that takes longer than looking up its words. BERT's tokenizer (Devlin et al. 2019) treats the
chunks between blanks independently, and on ASCII its rules are few: control characters are removed, letters
are lower-cased, each punctuation mark is a word. All other chunks (other scripts, accents, added tokens in
the text, in whatever spelling the normaliser matches them) go to the library, so that the ids are equal for
any text. Both are compared on texts made from the tokenizer itself before the fast one is used (`fast`), and
preparation compares them on the task's own texts (`text_check`), `bench data tokens` on any data set.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANKS = re.compile(r"[ \t\n\r]+")
_MAX_CACHED_WORDS = 1 << 16
"""Words whose pieces are cached; the cache is emptied at this size, so that memory stays bounded."""

_PROBED_WORDS = 256

EncodeChunks = Callable[[Sequence[str]], list[int]]
"""Returns the library's ids of neighbouring chunks, joined by blanks, without special tokens."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """A tokenizer of BERT's kind with its vocabulary; `fallback` encodes what is not plain ASCII.

    Words of more than `max_chars` characters become the id `unknown`. `prefix` marks the pieces that continue
    a word. `added` holds the tokens that are matched before words are split, without control characters and
    in lower case: a text that contains one, in any case, is encoded by the library, which decides.
    """

    vocabulary: Mapping[str, int]
    unknown: int
    lowercase: bool
    max_chars: int
    prefix: str
    added: tuple[str, ...]
    fallback: EncodeChunks
    _cache: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens around it."""
        plain = self._plain(text)
        if plain is not None:
            return self._encode_ascii(plain)
        ids: list[int] = []
        pending: list[str] = []
        for chunk in _BLANKS.split(text):
            if not chunk:
                continue
            plain = self._plain(chunk)
            if plain is None:
                pending.append(chunk)
                continue
            if pending:
                ids += self.fallback(pending)
                pending = []
            ids += self._encode_ascii(plain)
        return ids + self.fallback(pending) if pending else ids

    def _plain(self, text: str) -> str | None:
        """Return the normalised text, or None if it is not ASCII or contains an added token."""
        if not text.isascii():
            return None
        if _CONTROL.search(text):
            text = _CONTROL.sub("", text)
        folded = text.lower()
        if any(token in folded for token in self.added):
            return None
        return folded if self.lowercase else text

    def _encode_ascii(self, text: str) -> list[int]:
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


def read(description: Mapping[str, Any], tokenizer: "Tokenizer") -> WordPiece | str:
    """Return the fast tokenizer for the content of a tokenizer.json, or why there is none."""
    model, normalizer = description["model"], description.get("normalizer") or {}
    pre_tokenizer = description.get("pre_tokenizer") or {}
    types = (model.get("type"), normalizer.get("type"), pre_tokenizer.get("type"))
    if types != ("WordPiece", "BertNormalizer", "BertPreTokenizer") or not normalizer.get("clean_text"):
        return "WordPiece normalises or splits in another way than BERT's"
    added = _added_tokens(description.get("added_tokens", ()), tokenizer)
    vocabulary = model["vocab"]
    if added is None:
        return "an added token holds a blank"
    if model["unk_token"] not in vocabulary:
        return "its vocabulary lacks the unknown token"
    return WordPiece(
        vocabulary=vocabulary,
        unknown=vocabulary[model["unk_token"]],
        lowercase=bool(normalizer.get("lowercase")),
        max_chars=int(model["max_input_chars_per_word"]),
        prefix=model["continuing_subword_prefix"],
        added=added,
        fallback=lambda chunks: list(tokenizer.encode(" ".join(chunks), add_special_tokens=False).ids),
    )


def _added_tokens(tokens: Sequence[Mapping[str, Any]], tokenizer: "Tokenizer") -> tuple[str, ...] | None:
    """Return the ASCII spellings of added tokens, raw and normalised, in lower case; None if one has blanks.

    A token with `normalized` matches the normalised text by its own normalised spelling: `NFL` is in `nfl`.
    A token that contains blanks is in no chunk.
    """
    spellings = set()
    for token in tokens:
        raw = _CONTROL.sub("", token["content"])
        for spelling in (raw, tokenizer.normalizer.normalize_str(raw).strip()):
            if not spelling or spelling != "".join(spelling.split()):
                return None
            if spelling.isascii():
                spellings.add(spelling.lower())
    return tuple(sorted(spellings))


def probes(tokenizer: "Tokenizer") -> Iterator[str]:
    """Yield the vocabulary as text."""
    words = sorted(tokenizer.get_vocab(with_added_tokens=False))
    step = max(1, len(words) // _PROBED_WORDS)
    yield " ".join(words[::step])
    yield " ".join(word.upper() for word in words[:: step + 1])


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
