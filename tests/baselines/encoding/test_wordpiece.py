"""The fast WordPiece tokenizer returns the library's ids for any text."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from hypothesis import example, given, settings
from hypothesis import strategies as st

from baselines.encoding.fast import agrees, hard_texts
from baselines.encoding.tokenizer import TextEncoder
from baselines.encoding.wordpiece import (
    SpecialTokens,
    WordPiece,
    infer_special_tokens,
    probes,
    read,
)
from harness.workload.tasks.example import Example, TextInput

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""All of Unicode: controls, marks, scripts, unassigned; lone surrogates are not text."""

WORDS = st.lists(
    st.sampled_from([*tiny.WORDS, "[SEP]", "[MASK]", "frozén", "湖", "İ", "ΑΣ", "a\x00b", "x" * 120])
)
LIKELY = WORDS.flatmap(
    lambda words: st.sampled_from([" ", "\t", "\n", "  ", ""]).map(lambda gap: gap.join(words))
)


@pytest.fixture(scope="module")
def folder(boolq_folder: Path) -> Path:
    """Return a checkpoint whose tokenizer is BERT's, lower-casing."""
    return boolq_folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    """Return the library's tokenizer."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def fast(folder: Path, tokenizer: Any) -> WordPiece:
    """Return the fast tokenizer."""
    wordpiece = read(json.loads((folder / "tokenizer.json").read_text()), tokenizer)
    assert isinstance(wordpiece, WordPiece)
    return wordpiece


@given(st.one_of(ANY, LIKELY))
@example("is the lake frozen?")
@example("\x85the\u2028lake\u00a0is\u3000frozen")
@example("the\u0301 \u0301lake [SEP]is[MASK]the ##is \ufffd")
@example("I\u0307s ﬁ ß ẞ ǅ 𐐀 İs ΑΣ")
@example("")
def test_ids_are_the_librarys_for_any_text(tokenizer: Any, fast: WordPiece, text: str) -> None:
    """Scripts, accents, controls, blanks of all kinds and special tokens in the text."""
    assert fast.ids(text) == tokenizer.encode(text, add_special_tokens=False).ids


@given(first=st.one_of(ANY, LIKELY), second=st.one_of(st.none(), ANY, LIKELY), length=st.integers(6, 40))
def test_whole_sequences_are_the_librarys_for_any_length(
    folder: Path, first: str, second: str | None, length: int
) -> None:
    """Special tokens, segments and truncation, of one text or two."""
    encoder, library = TextEncoder(folder, length), TextEncoder(folder, length, library=True)
    assert (encoder.fast, library.fast) == (True, False)
    examples = [Example("0", (TextInput(first, second),))]
    sequence, expected = (either.encode(examples)[0].sequences[0] for either in (encoder, library))
    assert sequence.ids.tolist() == expected.ids.tolist()
    assert sequence.segments.tolist() == expected.segments.tolist()
    assert sequence.cut == expected.cut


def test_a_word_is_cut_into_its_longest_pieces_once(fast: WordPiece) -> None:
    """The tiny vocabulary has letters and their continuations; a word that is too long is unknown."""
    vocabulary = fast.vocabulary
    assert fast.ids("cab") == [vocabulary["c"], vocabulary["##a"], vocabulary["##b"]]
    assert fast.ids("x" * 101) == [fast.unknown]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": {"type": "BPE"}}, "normalises or splits in another way"),
        ({"normalizer": None}, "normalises or splits in another way"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "normalises or splits in another way"),
        ({"added_tokens": [{"content": "[two words]"}]}, "an added token holds a blank"),
    ],
)
def test_a_tokenizer_of_another_kind_is_left_to_the_library(
    folder: Path, tokenizer: Any, change: dict[str, Any], reason: str
) -> None:
    """Slow ids are better than wrong ones."""
    description = json.loads((folder / "tokenizer.json").read_text())
    found = read({**description, **change}, tokenizer)
    assert isinstance(found, str)
    assert reason in found


ADDED = (
    *("England", "Netflix", "NFL", "Canada", "USA", "U.S.", "a-b", "x", "##skate", "Café", "ÉCOLE", "naïve"),
    *("<e1>", "[E2]", "lake", "Frozen", "İ", "a\x01b", "湖", "湖面", "ﬁ", "the lake"),
)
FLAGS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("normalized", "special", "lstrip", "rstrip", "single_word")}
)
TOKENS = st.lists(st.tuples(st.sampled_from(ADDED), FLAGS), max_size=5, unique_by=lambda token: token[0])
NORMALIZERS = st.fixed_dictionaries(
    {
        "lowercase": st.booleans(),
        "strip_accents": st.sampled_from([None, False, True]),
        "handle_chinese_chars": st.booleans(),
        "clean_text": st.booleans(),
    }
)
AROUND = st.sampled_from([" ", "", "s ", "\t", ", ", "(", "é", "\x02", "\u00a0"])
SPELLINGS = st.sampled_from([str, str.lower, str.upper, str.title])
AMONG = st.lists(
    st.tuples(st.sampled_from([*ADDED, *tiny.WORDS, "cafe", "FI"]), SPELLINGS, AROUND), max_size=8
)


def _with_tokens(folder: Path, tokens: Any, normalizer: Any = None) -> Any:
    from tokenizers import AddedToken, Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if normalizer is not None:
        tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
    tokenizer.add_tokens([AddedToken(content, **flags) for content, flags in tokens])
    return tokenizer


@settings(deadline=None)
@given(TOKENS, NORMALIZERS, AMONG)
def test_added_tokens_match_as_in_the_library_with_any_flags_and_normaliser(
    folder: Path, tokens: Any, normalizer: Any, among: Any
) -> None:
    """A token is matched before or after lower-casing, alone or within words: whatever its flags ask for."""
    tokenizer = _with_tokens(folder, tokens, normalizer)
    text = "".join(spell(word) + around for word, spell, around in among)
    wordpiece = read(json.loads(tokenizer.to_str()), tokenizer)
    if isinstance(wordpiece, WordPiece):
        assert wordpiece.ids(text) == tokenizer.encode(text, add_special_tokens=False).ids


def test_added_tokens_of_an_uncased_model_match_in_lower_case(folder: Path, tmp_path: Path) -> None:
    """Tokens that `add_tokens` added to an uncased BERT: the ids of transformers, by the fast tokenizer."""
    from transformers import AutoTokenizer

    shutil.copytree(folder, tmp_path / "added")
    reference = AutoTokenizer.from_pretrained(tmp_path / "added")
    reference.add_tokens(["England", "Netflix", "NFL", "Canada", "USA"])
    reference.save_pretrained(tmp_path / "added")
    text = "is the NFL in england or in USA, Netflix says canada"
    encoder = TextEncoder(tmp_path / "added", 64)
    sequence = encoder.encode([Example("0", (TextInput(text),))])[0].sequences[0]
    assert encoder.fast
    assert sequence.ids.tolist() == reference(text)["input_ids"]
    assert {len(reference) - 1 - at for at in range(5)} <= set(sequence.ids.tolist())


@pytest.mark.parametrize("change", [{"prefix": "@@"}, {"lowercase": False}, {"max_chars": 3}, {"unknown": 0}])
def test_a_fast_tokenizer_that_disagrees_with_the_library_is_not_used(
    fast: WordPiece, tokenizer: Any, change: dict[str, Any]
) -> None:
    """Texts made from the tokenizer's own tokens show a rule that it does not follow."""
    texts = [*hard_texts(tokenizer), *probes(tokenizer)]
    assert agrees(fast, tokenizer, texts)
    assert not agrees(replace(fast, _cache={}, **change), tokenizer, texts)


def test_special_tokens_are_those_that_the_tokenizer_puts_around_texts(tokenizer: Any) -> None:
    """[CLS] a [SEP], and [CLS] a [SEP] b [SEP] with the second segment from b on."""
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert infer_special_tokens(tokenizer, pair=False) == SpecialTokens((cls,), (), (sep,), (0, 0, 0, 0, 0))
    paired = infer_special_tokens(tokenizer, pair=True)
    assert paired == SpecialTokens((cls,), (sep,), (sep,), (0, 0, 0, 1, 1))
