"""Which characters begin or end a word for sure, whatever the normaliser of a tokenizer makes of them."""

import unicodedata
from collections.abc import Callable

from baselines.encoding.word_rules import METASPACE

NEIGHBOUR = "a"
"""A word that is put before and behind another one, and the letter that is put around a character."""

_CATEGORIES = frozenset("LNPS")
"""The first letters of the categories of letters, numbers, punctuation and symbols: no blank, no accent."""

_JOINING = frozenset("\u0d4e\u0e33\u0eb3\uff9e\uff9f")
"""Letters that form one cluster with a space before or after them (Unicode annex 29)."""

_LAST = "\uffff"
"""The last character of the basic plane: emoji beyond it form clusters with their neighbours."""

Normalise = Callable[[str], str]


def is_solid(character: str, normalise: Normalise) -> bool:
    """Return whether a character begins or ends a word for sure: normalised, too, it is no blank."""
    if character > _LAST or character in _JOINING or character == METASPACE:
        return False
    if unicodedata.category(character)[0] not in _CATEGORIES:
        return False
    inner = normalised_between(character, normalise)
    return bool(inner) and not any(map(_is_blank, (inner[0], inner[-1])))


def normalised_between(text: str, normalise: Normalise) -> str:
    """Return what a text between two letters becomes; "" where the letters change with it."""
    head, pair = normalise(NEIGHBOUR), normalise(2 * NEIGHBOUR)
    tail, whole = pair[len(head) :], normalise(NEIGHBOUR + text + NEIGHBOUR)
    if not tail or not pair.startswith(head) or not (whole.startswith(head) and whole.endswith(tail)):
        return ""
    return whole[len(head) : len(whole) - len(tail)]


def _is_blank(character: str) -> bool:
    return character.isspace() or character == METASPACE
