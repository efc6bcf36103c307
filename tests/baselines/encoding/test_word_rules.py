"""Which tokenizers encode words independently, by what their tokenizer.json describes."""

import json
from typing import Any

import pytest
from tokenizer_kinds import KINDS, tokenizer_of, whole_text_model
from tokenizers import Tokenizer

from baselines.encoding.word_rules import METASPACE, dependence


def description(kind: str, **changed: Any) -> dict[str, Any]:
    return {**json.loads(tokenizer_of(kind).to_str()), **changed}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_of_published_encoders_keep_words_apart(kind: str) -> None:
    """Whatever normalises and splits them."""
    assert dependence(description(kind)) == ""


def test_older_files_say_less() -> None:
    """`add_prefix_space` in place of a scheme, no `split`, no `use_regex`."""
    metaspace = {"type": "Metaspace", "replacement": METASPACE, "add_prefix_space": True}
    assert dependence(description("xlm-r", pre_tokenizer=metaspace)) == ""
    assert dependence(description("roberta", pre_tokenizer={"type": "ByteLevel"})) == ""


REPLACE = {"type": "Replace", "pattern": {"String": "x"}, "content": "y"}
SPLIT = {"type": "Split", "pattern": {"Regex": r"\w+"}, "behavior": "Isolated", "invert": False}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PIECES = {"type": "Metaspace", "replacement": METASPACE, "prepend_scheme": "always"}


def steps(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(parts), "normalizers": list(parts)}


@pytest.mark.parametrize(
    ("kind", "changed", "reason"),
    [
        ("xlm-r", {"normalizer": {**REPLACE, "pattern": {"String": "e l"}}}, "the normaliser Replace"),
        ("xlm-r", {"normalizer": {**REPLACE, "pattern": {"Regex": "e.l"}}}, "the normaliser Replace"),
        ("xlm-r", {"normalizer": {**REPLACE, "content": ""}}, "the normaliser Replace"),
        ("xlm-r", {"normalizer": {**REPLACE, "content": "y "}}, "the normaliser Replace"),
        ("xlm-r", {"normalizer": {**REPLACE, "pattern": {"String": " "}}}, "the normaliser Replace"),
        (
            "xlm-r",
            {"normalizer": steps({"type": "BertNormalizer"})},
            "the normaliser BertNormalizer may act across",
        ),
        ("xlm-r", {"pre_tokenizer": {**PIECES, "split": False}}, "the pre-tokenizer Metaspace may join"),
        ("xlm-r", {"pre_tokenizer": {**PIECES, "replacement": "_"}}, "the pre-tokenizer Metaspace may join"),
        ("xlm-r", {"pre_tokenizer": steps(SPLIT, PIECES)}, "the pre-tokenizer Split .* may join"),
        ("xlm-r", {"pre_tokenizer": None}, "the pre-tokenizer none may join"),
        ("roberta", {"pre_tokenizer": BYTES}, "the pre-tokenizer ByteLevel may join"),
        ("roberta", {"pre_tokenizer": steps(SPLIT, BYTES)}, "the pre-tokenizer Split"),
        (
            "eurobert",
            {"pre_tokenizer": steps(BYTES, BYTES)},
            "the pre-tokenizer ByteLevel, ByteLevel may join",
        ),
        (
            "roberta",
            {"normalizer": {**REPLACE, "pattern": {"String": " "}, "content": METASPACE}},
            "the pre-tok",
        ),
        ("llama 2", {"normalizer": None}, "the pre-tokenizer none may join"),
        ("roberta", {"model": {"type": "WordLevel", "vocab": {}}}, "the model is of the type WordLevel"),
        ("roberta", {"model": {"type": "BPE", "vocab": {}, "dropout": 0.1}}, "the model draws at random"),
        ("xlm-r", {"model": {"type": "Unigram", "vocab": [], "alpha": 0.5}}, "the model draws at random"),
        ("llama 2", {"model": {"type": "Unigram", "vocab": []}}, "the model reads whole texts"),
        ("llama 2", {"model": {"type": "BPE", "vocab": {"a": 0}}}, "the model reads whole texts"),
        (
            "llama 2",
            {"model": {"type": "BPE", "vocab": {METASPACE: 0}, "ignore_merges": True}},
            "treats the ends of a text in its own way",
        ),
    ],
)
def test_a_part_that_may_join_words_is_named(kind: str, changed: dict[str, Any], reason: str) -> None:
    """Slow ids are better than wrong ones."""
    assert reason.split(" .* ", maxsplit=1)[0] in dependence(description(kind, **changed))


def test_merges_over_the_end_of_a_word_are_found() -> None:
    """SentencePiece makes none, unless it was told to."""
    for more, reason in (
        ("lake\u2581is", "its vocabulary has tokens of several words"),
        ("\u2581\u2581lake", ""),
    ):
        model = json.loads(Tokenizer(whole_text_model(more)).to_str())["model"]
        assert dependence(description("llama 2", model=model)) == reason
