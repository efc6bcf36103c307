"""Which tokenizers encode the words of a text independently of one another, by their tokenizer.json.

    normalizer: maps of single characters, runs of blanks   |
    pre-tokenizer: splits before each space                 | --> a word's ids depend on no other word
    model: works on what the pre-tokenizer leaves together  |

A word is what lies between two spaces, and begins and ends with a letter, a digit, a mark or a symbol
(`word_cache` checks that for each word). Everything that is not listed here is left to the library.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

METASPACE = "\u2581"
"""The character that stands for a space in SentencePiece."""

_BY_CHARACTER = frozenset(
    {"NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "Precompiled", "Strip", "Prepend"}
)
"""Normalisers that map characters or their clusters (no cluster reaches over a space), or act on ends."""

_BLANKS = frozenset({" {2,}", r"\s{2,}|[\n\r\t]", r"\s+", r"\n", r"[\n\r\t]"})
"""Patterns that match nothing but blanks: within a word, or a single space between two."""

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_SPLITS = frozenset({_GPT_2, _LLAMA_3, _LLAMA_3.replace("{1,3}", "")})
"""Patterns of GPT-2, Llama 3 (EuroBERT) and Qwen 2: no match has a space behind another character."""


def dependence(description: Mapping[str, Any]) -> str:
    """Return why a word's ids may depend on other words, by the content of a tokenizer.json; else ""."""
    steps = list(_flat(description.get("normalizer"), "normalizers"))
    splits = list(_flat(description.get("pre_tokenizer"), "pretokenizers"))
    for step in steps:
        if not _keeps_words_apart(step):
            return f"the normaliser {_name(step)} may act across words"
    model, space_is_gone = description["model"], any(map(_replaces_space, steps))
    if model.get("type") not in ("Unigram", "BPE"):
        return f"the model is of the type {model.get('type')}"
    if any(model.get(name) for name in ("dropout", "alpha", "nbest_size")):
        return "the model draws at random"
    if _splits_at_metaspace(splits) or (_splits_bytes(splits) and not space_is_gone):
        return ""
    if space_is_gone and all(_splits_at_space(split) for split in splits):
        return _dependence_of_merges(model)
    return f"the pre-tokenizer {', '.join(map(_name, splits)) or 'none'} may join words"


def _flat(part: Mapping[str, Any] | None, parts: str) -> Iterator[Mapping[str, Any]]:
    if part is None:
        return
    if part.get("type") != "Sequence":
        yield part
        return
    for inner in part[parts]:
        yield from _flat(inner, parts)


def _name(step: Mapping[str, Any]) -> str:
    pattern = step.get("pattern")
    return f"{step.get('type')} {pattern}" if pattern else str(step.get("type"))


def _keeps_words_apart(step: Mapping[str, Any]) -> bool:
    if step.get("type") != "Replace":
        return step.get("type") in _BY_CHARACTER
    pattern, content = step["pattern"], step["content"]
    if "Regex" in pattern:
        return pattern["Regex"] in _BLANKS and content in (" ", METASPACE)
    text = pattern.get("String", "")
    if text == " ":
        return content in (" ", METASPACE)
    return all(part and not _has_blank(part) for part in (text, content))


def _has_blank(text: str) -> bool:
    return any(character.isspace() or character == METASPACE for character in text)


def _replaces_space(step: Mapping[str, Any]) -> bool:
    if step.get("type") != "Replace" or step["content"] != METASPACE:
        return False
    return step["pattern"] in ({"String": " "}, {"Regex": r"\s+"})


def _splits_at_metaspace(splits: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether each space begins a piece: `Metaspace`, perhaps behind splits at blanks and marks."""
    if not splits or splits[-1].get("type") != "Metaspace":
        return False
    last = splits[-1]
    before = {split.get("type") for split in splits[:-1]}
    return last.get("replacement") == METASPACE and last.get("split", True) and before <= _ALSO_SPLIT


_ALSO_SPLIT = frozenset({"WhitespaceSplit", "Punctuation"})


def _splits_bytes(splits: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether byte-level BPE splits by a pattern that is known here."""
    if not splits or splits[-1].get("type") != "ByteLevel":
        return False
    if len(splits) == 1:
        return bool(splits[0].get("use_regex", True))
    pattern = splits[0].get("pattern")
    is_known = isinstance(pattern, dict) and pattern.get("Regex") in _SPLITS
    is_whole = splits[0].get("behavior") == "Isolated" and not splits[0].get("invert")
    return len(splits) == 2 and splits[0].get("type") == "Split" and is_known and is_whole  # noqa: PLR2004


def _splits_at_space(split: Mapping[str, Any]) -> bool:
    return split.get("type") == "Split" and split.get("pattern") == {"String": " "}


def _dependence_of_merges(model: Mapping[str, Any]) -> str:
    """Return why merges of a whole text may join words (Gemma, mmBERT); "" if none can.

    No token has the space's character behind another one, so that no merge reaches over the end of a word;
    merges on both sides then do not affect each other.
    """
    vocabulary = model["vocab"]
    if model["type"] != "BPE" or METASPACE not in vocabulary:
        return "the model reads whole texts"
    if (
        model.get("ignore_merges")
        or model.get("continuing_subword_prefix")
        or model.get("end_of_word_suffix")
    ):
        return "the model treats the ends of a text in its own way"
    if any(METASPACE in token.lstrip(METASPACE) for token in vocabulary):
        return "its vocabulary has tokens of several words"
    return ""
