"""A fast tokenizer for SentencePiece and byte-level BPE: it keeps the library's ids of each word.

    text --split at spaces--> words --kept----------------------------------------> ids
                                    --new--> the library encodes "a WORD a" -----> ids, which are kept
       words with no sure end between them are one; a text with an added token --> the library

The library normalises, tracks character offsets and merges anew for each text, which a classifier does not
need. No rule of the library is repeated here: a word's ids are those that the library gives to it between two
other words. That they are the same between any others follows from what the normaliser, the pre-tokenizer and
the model are (`word_rules`), from its first and last character and those of its neighbours (`word_ends`), and
from that no added token is in the text. Everything else goes to the library, so that the ids are equal for
any text.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from baselines.encoding.word_ends import NEIGHBOUR, Normalise, is_solid, normalised_between
from baselines.encoding.word_rules import METASPACE, dependence

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FIRST_SPACES = re.compile(r"(?<! ) ")
"""The first space of each run: the others are the beginning of the next word."""

_MAX_WORDS = 1 << 16
"""Words that are kept; all are dropped at this number, so that memory stays bounded."""

_LONGEST = 64
"""Characters of a word that is kept: a longer one, such as a text without spaces, is encoded each time."""

_BYTE_SPACE = "\u0120"
"""The character that stands for a space in byte-level BPE."""

_PROBED_WORDS = 256

Ids = tuple[int, ...]


class DependentWordError(Exception):
    """The ids of a word may depend on the words around it."""


class _KeptWords(dict[str, Ids]):
    """The ids by word; those of a new word are requested and kept."""

    def __init__(self, encode: Callable[[str], Ids]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, word: str) -> Ids:
        ids = self._encode(word)
        if len(word) <= _LONGEST:
            if len(self) >= _MAX_WORDS:
                self.clear()
            self[word] = ids
        return ids


class WordCache:
    """A tokenizer whose words are independent, and the ids of the words that it has encoded.

    `added` holds the spellings of each added token by its id, as it is and normalised.
    """

    def __init__(self, tokenizer: "Tokenizer", added: Mapping[int, Sequence[str]]) -> None:
        self._tokenizer, self._added = tokenizer, added
        normalizer = tokenizer.normalizer
        self._normalise: Normalise = normalizer.normalize_str if normalizer else str
        self._safe: dict[str, bool] = {}
        self._first, self._later = _KeptWords(self._encode_first), _KeptWords(self._encode_later)
        self._last = _KeptWords(self._encode_last)
        self._before = self._library(NEIGHBOUR)
        self._after = self._library(f"{NEIGHBOUR} {NEIGHBOUR}")[len(self._before) :]

    @property
    def kept(self) -> int:
        """How many words are kept."""
        return len(self._first) + len(self._later) + len(self._last)

    @property
    def has_neighbours(self) -> bool:
        """Whether a word between others has the ids that it has behind another one, and is no added token."""
        three = self._library(" ".join(3 * NEIGHBOUR))
        is_alike = bool(self._after) and three == [*self._before, *self._after, *self._after]
        return is_alike and not self._has_added(NEIGHBOUR, three)

    @property
    def keeps_spaces(self) -> bool:
        """Whether a space between words stays one, or becomes the character that stands for it."""
        return normalised_between(" ", self._normalise) in (" ", METASPACE)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens around it."""
        words = text.split(" ")
        if "" in words:
            words = _FIRST_SPACES.split(text)
        try:
            ids = list(self._first[words[0]])
            ids.extend(chain.from_iterable(map(self._later.__getitem__, words[1:])))
        except DependentWordError:
            return self._ids_of_chunks(self._chunks(words), text)
        return ids

    def _ids_of_chunks(self, chunks: Sequence[str], text: str) -> list[int]:
        if len(chunks) == 1:
            return self._library(text)
        try:
            later = map(self._later.__getitem__, chunks[1:-1])
            return list(chain(self._first[chunks[0]], chain.from_iterable(later), self._last[chunks[-1]]))
        except DependentWordError:
            return self._library(text)

    def _chunks(self, words: Sequence[str]) -> list[str]:
        """Join words whose common end may not be one for the library, such as after an accent or a tab."""
        chunks = [[words[0]]]
        for before, word in itertools.pairwise(words):
            if self._ends_safely(before) and self._starts_safely(word):
                chunks.append([word])
            else:
                chunks[-1].append(word)
        return list(map(" ".join, chunks))

    def _starts_safely(self, word: str) -> bool:
        begun = word.lstrip(" ")
        return bool(begun) and self._is_safe(begun[0])

    def _ends_safely(self, word: str) -> bool:
        return bool(word) and self._is_safe(word[-1])

    def _is_safe(self, character: str) -> bool:
        if character not in self._safe:
            self._safe[character] = is_solid(character, self._normalise)
        return self._safe[character]

    def _library(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _encode_first(self, word: str) -> Ids:
        if not self._ends_safely(word):
            raise DependentWordError
        return self._between(word, [], self._library(f"{word} {NEIGHBOUR}"), self._after)

    def _encode_later(self, word: str) -> Ids:
        if not (self._starts_safely(word) and self._ends_safely(word)):
            raise DependentWordError
        whole = self._library(f"{NEIGHBOUR} {word} {NEIGHBOUR}")
        return self._between(word, self._before, whole, self._after)

    def _encode_last(self, word: str) -> Ids:
        if not self._starts_safely(word):
            raise DependentWordError
        return self._between(word, self._before, self._library(f"{NEIGHBOUR} {word}"), [])

    def _between(self, word: str, before: list[int], whole: list[int], after: list[int]) -> Ids:
        """Return the ids between those of the neighbours."""
        start, end = len(before), len(whole) - len(after)
        ids = whole[start:end]
        if not ids or whole[:start] != before or whole[end:] != after or self._has_added(word, ids):
            raise DependentWordError
        return tuple(ids)

    def _has_added(self, word: str, ids: Sequence[int]) -> bool:
        """Return whether the word holds an added token; the unknown token is the model's as well."""
        added = self._added.keys() & ids
        if not added:
            return False
        normalised = self._normalise(word)
        return any(text in word or text in normalised for number in added for text in self._added[number])


def read(description: Mapping[str, Any], tokenizer: "Tokenizer") -> WordCache | str:
    """Return the fast tokenizer for the content of a tokenizer.json, or why only the library can encode."""
    reason = dependence(description)
    if reason:
        return reason
    added = _added_tokens(tokenizer)
    if added is None:
        return "an added token holds a space"
    words = WordCache(tokenizer, added)
    if not words.keeps_spaces:
        return "the normaliser changes spaces"
    if not words.has_neighbours:
        return "the ids of a word depend on its place"
    return words


def _added_tokens(tokenizer: "Tokenizer") -> dict[int, tuple[str, ...]] | None:
    """Return the spellings of added tokens by id; None if one may reach over the end of a word.

    A token of nothing but two spaces or more is none of these: it lies before a word.
    """
    normalise = tokenizer.normalizer.normalize_str if tokenizer.normalizer else str
    spellings: dict[int, tuple[str, ...]] = {}
    for number, token in tokenizer.get_added_tokens_decoder().items():
        texts = (token.content, normalise(token.content)) if token.normalized else (token.content,)
        if not all(map(_lies_in_a_word, texts)):
            return None
        spellings[number] = texts
    return spellings


def _lies_in_a_word(text: str) -> bool:
    if " " not in text and METASPACE not in text:
        return bool(text)
    return len(text) > 1 and not text.strip(f" {METASPACE}")


def probes(tokenizer: "Tokenizer") -> Iterator[str]:
    """Yield texts with every mark of ASCII at both ends of a word, and the vocabulary as text."""
    marks = [chr(code) for code in range(33, 127)]
    yield " ".join(marks)
    yield " ".join(f"{mark}a{mark}" for mark in marks)
    size = tokenizer.get_vocab_size(with_added_tokens=False)
    tokens = map(tokenizer.id_to_token, range(0, size, max(1, size // _PROBED_WORDS)))
    words = [token.replace(METASPACE, " ").replace(_BYTE_SPACE, " ").strip() for token in tokens if token]
    yield " ".join(filter(None, words))
    yield ", ".join(word.upper() for word in words)
