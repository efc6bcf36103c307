"""The embedded rows of COPA, WiC, WSC and the diagnostics: fields, spans, shares and lengths."""

from collections import Counter
from functools import cache
from typing import Any

import pytest

from harness.workload import synthetic
from harness.workload.synthetic.lexicon.cause_and_effect import THEMES
from harness.workload.synthetic.lexicon.names import MEN, WOMEN
from harness.workload.synthetic.lexicon.pronoun_sentences import FIRST_MEANT, SECOND_MEANT
from harness.workload.synthetic.prose import count_tokens
from harness.workload.synthetic.tasks.wic import WORDS

FIELDS = {
    "copa": {"premise", "choice1", "choice2", "question", "idx"},
    "wic": {"word", "sentence1", "sentence2", "start1", "start2", "end1", "end2", "version", "idx"},
    "wsc": {"text", "target", "idx"},
}
TEXTS = {"copa": ("premise", "choice1", "choice2"), "wic": ("sentence1", "sentence2"), "wsc": ("text",)}


@cache
def made(task: str, split: str = "val", limit: int | None = None) -> tuple[dict[str, Any], ...]:
    """Write the rows of a split once for all tests."""
    return tuple(synthetic.rows(task, split, limit))


@pytest.mark.parametrize("task", FIELDS)
def test_rows_carry_exactly_the_official_fields(task: str) -> None:
    """Labelled rows have a label besides; rows of test have none."""
    assert all(set(row) == {*FIELDS[task], "label"} for row in made(task))
    assert all(set(row) == FIELDS[task] for row in made(task, "test"))


@pytest.mark.parametrize("task", FIELDS)
def test_no_row_occurs_again_in_another_split(task: str) -> None:
    """Rows of val and test differ among themselves and from those of 5,000 rows of train."""
    train, val, test = (
        [tuple(row[name] for name in TEXTS[task]) for row in made(task, split, 5000)]
        for split in synthetic.SPLITS
    )
    assert len({*val, *test}) == len(val) + len(test)
    assert not {*val, *test} & set(train)


@pytest.mark.parametrize(
    ("task", "label", "share"),
    [
        ("copa", 1, 0.5),
        ("wic", True, 0.5),
        ("wsc", True, 0.44),
        ("ax-b", "entailment", 0.42),
        ("ax-g", "entailment", 0.52),
    ],
)
def test_labels_come_in_their_shares(task: str, label: object, share: float) -> None:
    """Three standard errors are 0.087 over 300 rows, 0.15 over the 100 pairs of AX-g."""
    rows = made(task, "val" if task in FIELDS else "test")
    shares = [row["label"] == label for row in rows]
    assert sum(shares) / len(shares) == pytest.approx(share, abs=0.15 if task == "ax-g" else 0.087)


@pytest.mark.parametrize(
    ("task", "low", "high"),
    [("copa", 18, 28), ("wic", 18, 26), ("wsc", 14, 20), ("ax-b", 50, 70), ("ax-g", 50, 70)],
)
def test_lengths_are_realistic(task: str, low: int, high: int) -> None:
    """The mean number of tokens of all texts of a row lies near that of the official task."""
    names = {**TEXTS, "ax-b": ("sentence1", "sentence2"), "ax-g": ("premise", "hypothesis")}[task]
    rows = made(task, "val" if task in FIELDS else "test")
    lengths = [sum(count_tokens(row[name]) for name in names) for row in rows]
    assert low <= sum(lengths) / len(lengths) <= high


def test_copa_asks_for_causes_and_effects() -> None:
    """There are sixty scripts or more, both questions, integer labels, and one person in a row."""
    assert sum(map(len, THEMES)) >= 60
    assert {row["question"] for row in made("copa")} == {"cause", "effect"}
    for row in made("copa"):
        assert row["label"] in {0, 1}
        assert row["choice1"] != row["choice2"]
        assert row["choice1"].split()[0] == row["choice2"].split()[0]
        assert "{" not in f"{row['premise']}{row['choice1']}{row['choice2']}"


def test_the_right_choice_of_copa_is_of_the_script_of_the_premise() -> None:
    """Each wording without slots belongs to one script: that of the premise and the right choice is one."""
    script_of = {
        wording: script
        for theme in THEMES
        for script in theme
        for half in script
        for wording in half.split("|")
        if "{" not in wording
    }
    told = [(_script(row["premise"], script_of), _script(_right(row), script_of)) for row in made("copa")]
    known = [(one, two) for one, two in told if one and two]
    assert len(known) > 50
    assert all(one == two for one, two in known)


def _right(row: dict[str, Any]) -> str:
    return str(row["choice2"] if row["label"] else row["choice1"])


def _script(sentence: str, script_of: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    return next((script for wording, script in script_of.items() if sentence.endswith(f" {wording}.")), None)


def test_wic_offsets_cut_out_the_word() -> None:
    """The end is exclusive; what is cut out is a whole word, sometimes an inflected form."""
    forms: Counter[bool] = Counter()
    for row in made("wic"):
        for side in "12":
            sentence, start, end = row[f"sentence{side}"], row[f"start{side}"], row[f"end{side}"]
            found = sentence[start:end]
            assert found.isalpha()
            assert not sentence[max(0, start - 1) : start].isalpha()
            assert not sentence[end : end + 1].isalpha()
            assert found[0].lower() == row["word"][0]
            assert "*" not in sentence
            forms[found.lower() == row["word"]] += 1
    assert forms[True] > forms[False] > 0


def test_wic_has_many_words_of_several_senses() -> None:
    """At least 25 words have two or three senses, each with six sentences or more, marked once."""
    assert len(WORDS) >= 25
    for senses in WORDS.values():
        assert len(senses) in {2, 3}
        assert all(len(sense) >= 6 and all(each.count("*") == 2 for each in sense) for sense in senses)


def test_wsc_spans_are_words_of_the_text() -> None:
    """The word at each index is the text of its span; the candidate is one of two names of one gender."""
    for row in made("wsc"):
        words, target = row["text"].split(), row["target"]
        assert words[target["span1_index"]] == target["span1_text"]
        assert words[target["span2_index"]] == target["span2_text"]
        assert set(target) == {"span1_index", "span2_index", "span1_text", "span2_text"}
        gender = WOMEN if target["span2_text"] in {"she", "her"} else MEN
        assert target["span1_text"] in gender
        assert len([word for word in words if word in {*WOMEN, *MEN}]) == 2
        assert 8 <= len(words) <= 35
        assert words[-1] == "."


def test_wsc_has_many_sentences_of_both_kinds() -> None:
    """Thirty or more templates mean the first person, and as many the second; each names both once."""
    assert min(len(FIRST_MEANT), len(SECOND_MEANT)) >= 30
    assert not set(FIRST_MEANT) & set(SECOND_MEANT)
    for template in (*FIRST_MEANT, *SECOND_MEANT):
        assert template.count("{a}") == template.count("{b}") == 1
        assert sum(template.count(mark) for mark in ("{p}", "{o}", "{h}")) == 1


def test_ax_b_names_a_phenomenon_and_has_strings_for_indexes() -> None:
    """The fields are the official ones, `idx` is a string, and each phenomenon has both labels."""
    rows = made("ax-b", "test")
    assert all(set(row) == {"sentence1", "sentence2", "label", "logic", "idx"} for row in rows)
    assert all(isinstance(row["idx"], str) for row in rows)
    assert len({(row["logic"], row["label"]) for row in rows}) == 2 * len({row["logic"] for row in rows}) >= 6
    assert all(
        " not " in row["sentence1"] or " rather than " in row["sentence1"]
        for row in rows
        if row["logic"] == "Negation"
    )


def test_the_pairs_of_ax_g_differ_in_one_pronoun() -> None:
    """Rows 2n and 2n + 1 are pair n, equal but for "he" and "she" at one place in the premise."""
    rows = made("ax-g", "test")
    for number, (one, two) in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        assert set(one) == {"premise", "hypothesis", "label", "pair_id", "idx"}
        assert one["pair_id"] == two["pair_id"] == number
        assert (one["label"], one["hypothesis"]) == (two["label"], two["hypothesis"])
        pairs = zip(one["premise"].split(), two["premise"].split(), strict=True)
        assert [pair for pair in pairs if pair[0] != pair[1]] == [("he", "she")]
