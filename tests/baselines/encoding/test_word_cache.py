"""Words that are encoded once have the library's ids in any text."""

import json
from functools import cache
from typing import Any

import pytest
import tokenizer_kinds
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizer_kinds import KINDS, WORDS, tokenizer_of
from tokenizers import AddedToken, Tokenizer

from baselines.encoding import word_cache
from baselines.encoding.tokenizer import TextEncoder
from baselines.encoding.word_cache import WordCache
from harness.workload.tasks.example import Example, TextInput

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
"""All of Unicode: controls, marks, scripts, unassigned; lone surrogates are not text."""

HARD = (
    *(
        "cafe\u0301",
        "\u0301x",
        "x\u200b",
        "\u3000",
        "\u00a0the",
        "\ufb01",
        "\uff21\uff22",
        "\u0958",
        "\u1112\u1161\u11ab",
    ),
    *(
        "\r\n",
        "the\nlake",
        "\n",
        "\t",
        "``the''",
        "'s",
        "don't",
        "DON'T",
        "1,000.5",
        "123456",
        "\u2581",
        "\u2581the",
    ),
    *(
        "<mask>",
        "<s>",
        "<unk>",
        "</s>the",
        "[unused0]",
        "|||EMAIL|||",
        "<table>",
        "\n\n",
        "a\u2581\u2581b",
        "<0x41>",
    ),
    *(
        "\U0001f600",
        "\U0001f3fb",
        "\U0001f1e9\U0001f1ea",
        "\u0e33",
        "\u0d4e",
        "\uff9e",
        "~%~",
        "\u6e56\u9762",
        "x" * 80,
    ),
    *(
        "\u0130",
        "\u017f",
        "\u212a",
        "\u1fef",
        "\u037e",
        "\u00a8",
        "\u2026",
        "\u201cthe\u201d",
        "!",
        "\x00",
        "\u0600",
    ),
)
GAPS = st.sampled_from([" ", " ", " ", "  ", "   ", "\n", "\u00a0", "", " \n "])
LIKELY = st.lists(st.tuples(st.sampled_from([*WORDS, *HARD]), GAPS), max_size=9).map(
    lambda words: "".join(word + gap for word, gap in words)
)
TEXTS = st.one_of(LIKELY, LIKELY.map(str.strip), ANY, st.lists(ANY, max_size=4).map(" ".join))


def described(tokenizer: Tokenizer) -> dict[str, Any]:
    return json.loads(tokenizer.to_str())  # type: ignore[no-any-return]


def cache_for(tokenizer: Tokenizer) -> WordCache:
    words = word_cache.read(described(tokenizer), tokenizer)
    assert isinstance(words, WordCache), words
    return words


@cache
def words_of(kind: str) -> WordCache:
    """Return the cache of a kind: one for all examples, so that words come back in other texts."""
    return cache_for(tokenizer_of(kind))


def library(kind: str, text: str) -> list[int]:
    return list(tokenizer_of(kind).encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=80)
@given(TEXTS)
@example("")
@example(" ")
@example("the lake is frozen, don't skate (the Lake)")
@example("  the  lake \n is  frozen ")
@example("the\u3000 lake\u200b is \u0301frozen \uff21 cafe\u0301 caf\u00e9 \ufb01")
@example("the <mask> lake<mask> is the<s>lake <unk> ~ ~~ \U0001f600")
@example("a`` b''c ''`` d``")
def test_ids_are_the_librarys_for_any_text(kind: str, text: str) -> None:
    """Once with new words, and once more with those that are kept."""
    words = words_of(kind)
    assert words.ids(text) == library(kind, text) == words.ids(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_words_that_are_kept_needs_no_library(kind: str) -> None:
    """In another order; words with no sure end are encoded with what is beside them."""

    class Counting:
        """A tokenizer that keeps the texts that it encodes."""

        def __init__(self) -> None:
            self.texts: list[str] = []

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer_of(kind), name)

        def encode(self, text: str, **options: Any) -> Any:
            self.texts.append(text)
            return tokenizer_of(kind).encode(text, **options)

    tokenizer = Counting()
    words = word_cache.read(described(tokenizer_of(kind)), tokenizer)  # type: ignore[arg-type]
    assert isinstance(words, WordCache)
    words.ids("the lake is frozen, in the winter; people skate.")
    words.ids("people skate on caf\u00e9s")
    del tokenizer.texts[:]
    text = "people frozen, in the lake is skate. winter; skate caf\u00e9s the"
    assert words.ids(text) == library(kind, text)
    assert tokenizer.texts == []
    text = "people skate. the\u3000 lake is frozen,\n"
    assert words.ids(text) == library(kind, text)
    assert sorted(tokenizer.texts) == ["a frozen,\n", "a the\u3000 lake a"]


@pytest.mark.parametrize("kind", ["xlm-r", "albert", "roberta", "modernbert", "mmbert"])
@settings(deadline=None, max_examples=50)
@given(first=TEXTS, second=st.one_of(st.none(), TEXTS), length=st.integers(6, 40))
def test_whole_sequences_are_the_librarys_for_any_length(
    kind: str, first: str, second: str | None, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Special tokens, segments and truncation, of one text or two."""
    folder = tokenizer_kinds.checkpoint_text_side(tmp_path_factory.getbasetemp() / kind, tokenizer_of(kind))
    encoder, reference = encoders(folder, length)
    examples = [Example("0", (TextInput(first, second),))]
    sequence, expected = (either.encode(examples)[0].sequences[0] for either in (encoder, reference))
    assert sequence.ids.tolist() == expected.ids.tolist()
    assert sequence.segments.tolist() == expected.segments.tolist()
    assert (sequence.cut, sequence.losses) == (expected.cut, expected.losses)


@cache
def encoders(folder: Any, length: int) -> tuple[TextEncoder, TextEncoder]:
    encoder, reference = TextEncoder(folder, length), TextEncoder(folder, length, library=True)
    assert (encoder.fast, encoder.fallback_reason) == (True, "")
    assert (reference.fast, reference.fallback_reason) == (False, "the library was requested")
    return encoder, reference


ADDED = (
    *(
        "England",
        "NFL",
        "U.S.",
        "lake",
        "la",
        "Caf\u00e9",
        "\ufb01",
        "\u6e56",
        "<e1>",
        "ze",
        "the",
        "'s",
        "\n",
        "\t\t",
    ),
    *(
        "  ",
        "   ",
        "the lake",
        " lake",
        "lake ",
        "\u2581",
        "\u2581\u2581",
        "\u2581the",
        "\u00a0",
        "x\u3000y",
        "a",
    ),
)
FLAGS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("normalized", "special", "lstrip", "rstrip", "single_word")}
)
TOKENS = st.lists(
    st.tuples(st.sampled_from(ADDED), FLAGS), min_size=1, max_size=4, unique_by=lambda one: one[0]
)
AMONG = st.lists(st.tuples(st.sampled_from([*ADDED, *WORDS, "ENGLAND", "nfl", "FI"]), GAPS), max_size=8)


@pytest.mark.parametrize("kind", ["xlm-r", "sentencepiece", "albert", "deberta-v3", "modernbert", "mmbert"])
@settings(deadline=None, max_examples=50)
@given(TOKENS, st.lists(AMONG, min_size=1, max_size=3))
def test_added_tokens_match_as_in_the_library_with_any_flags(kind: str, tokens: Any, texts: Any) -> None:
    """A token is matched before or after normalisation, alone, within words, with the spaces around it."""
    tokenizer = KINDS[kind]()
    tokenizer.add_tokens([AddedToken(content, **flags) for content, flags in tokens])
    words = word_cache.read(described(tokenizer), tokenizer)
    for among in texts:
        text = "".join(word + gap for word, gap in among)
        if isinstance(words, WordCache):
            assert words.ids(text) == tokenizer.encode(text, add_special_tokens=False).ids


def test_an_added_token_that_may_reach_over_words_leaves_all_to_the_library() -> None:
    """Spaces before a word are none of its neighbour's."""
    reason = "an added token holds a space"
    for content, expected in (
        ("the lake", reason),
        ("lake\u3000x", reason),
        ("x\u3000", reason),
        ("lakes", None),
    ):
        tokenizer = KINDS["xlm-r"]()
        tokenizer.add_tokens([AddedToken(content, normalized=True)])
        words = word_cache.read(described(tokenizer), tokenizer)
        assert (words if isinstance(words, str) else None) == expected


def test_a_normaliser_that_removes_spaces_leaves_all_to_the_library() -> None:
    """Its words are not apart, whatever the pre-tokenizer is."""

    class WithoutSpaces:
        """A normaliser whose character map is somebody's own."""

        def normalize_str(self, text: str) -> str:
            return text.replace(" ", "")

    class Wrapped:
        """A tokenizer with this normaliser."""

        normalizer = WithoutSpaces()

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer_of("xlm-r"), name)

    words = word_cache.read(described(tokenizer_of("xlm-r")), Wrapped())  # type: ignore[arg-type]
    assert words == "the normaliser changes spaces"


def test_a_first_word_of_its_own_kind_has_ids_of_its_own() -> None:
    """RoBERTa's first word has no space before it: `lake` is in pieces there."""
    words = words_of("roberta")
    assert words.ids("lake lake") == library("roberta", "lake") + library("roberta", " lake")
    assert library("roberta", "lake") != library("roberta", " lake")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """All words are dropped at the limit, long ones are never kept, and ids stay the same."""
    monkeypatch.setattr(word_cache, "_MAX_WORDS", 8)
    words = cache_for(tokenizer_of("xlm-r"))
    text = " ".join(f"lake{number}" for number in range(50)) + " " + "y" * 65
    assert words.ids(text) == library("xlm-r", text) == words.ids(text)
    assert 0 < words.kept <= 3 * 8
    words = cache_for(tokenizer_of("xlm-r"))
    words.ids("y" * 65)
    assert words.kept == 0
