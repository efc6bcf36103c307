"""The generated rows of COPA, WiC, WSC and the diagnostics: fields, spans, shares and lengths."""

from collections import Counter
from functools import cache
from typing import Any

import pytest

from harness.workload import synthetic
from harness.workload.synthetic.lexicon import Script, load_lexicon
from harness.workload.synthetic.prose import count_tokens
from harness.workload.synthetic.tasks.wic import words

FIELDS = {
    "copa": {"premise", "choice1", "choice2", "question", "idx"},
    "wic": {"word", "sentence1", "sentence2", "start1", "start2", "end1", "end2", "version", "idx"},
    "wsc": {"text", "target", "idx"},
}
TEXTS = {"copa": ("premise", "choice1", "choice2"), "wic": ("sentence1", "sentence2"), "wsc": ("text",)}


@cache
def generate(task: str, split: str = "val", limit: int | None = None) -> tuple[dict[str, Any], ...]:
    """Generate the rows of a split once for all tests."""
    return tuple(synthetic.rows(task, split, limit))


@pytest.mark.parametrize("task", FIELDS)
def test_rows_carry_exactly_the_official_fields(task: str) -> None:
    """Labelled rows also have a label; rows of test have none."""
    assert all(set(row) == {*FIELDS[task], "label"} for row in generate(task))
    assert all(set(row) == FIELDS[task] for row in generate(task, "test"))


@pytest.mark.parametrize("task", FIELDS)
def test_no_row_occurs_again_in_another_split(task: str) -> None:
    """Rows of val and test differ from one another and from 5,000 rows of train."""
    train, val, test = (
        [tuple(row[name] for name in TEXTS[task]) for row in generate(task, split, 5000)]
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
    rows = generate(task, "val" if task in FIELDS else "test")
    shares = [row["label"] == label for row in rows]
    assert sum(shares) / len(shares) == pytest.approx(share, abs=0.15 if task == "ax-g" else 0.087)


@pytest.mark.parametrize(
    ("task", "low", "high"),
    [("copa", 18, 28), ("wic", 18, 26), ("wsc", 14, 20), ("ax-b", 50, 70), ("ax-g", 50, 70)],
)
def test_lengths_are_realistic(task: str, low: int, high: int) -> None:
    """The mean number of tokens of all texts of a row is near that of the official task."""
    names = {**TEXTS, "ax-b": ("sentence1", "sentence2"), "ax-g": ("premise", "hypothesis")}[task]
    rows = generate(task, "val" if task in FIELDS else "test")
    lengths = [sum(count_tokens(row[name]) for name in names) for row in rows]
    assert low <= sum(lengths) / len(lengths) <= high


def test_copa_asks_for_causes_and_effects() -> None:
    """There are at least sixty scripts, both questions, integer labels, and one person in a row."""
    assert sum(map(len, load_lexicon().causes_and_effects.themes.values())) >= 60
    assert {row["question"] for row in generate("copa")} == {"cause", "effect"}
    for row in generate("copa"):
        assert row["label"] in {0, 1}
        assert row["choice1"] != row["choice2"]
        assert row["choice1"].split()[0] == row["choice2"].split()[0]
        assert "{" not in f"{row['premise']}{row['choice1']}{row['choice2']}"


def test_the_right_choice_of_copa_is_of_the_script_of_the_premise() -> None:
    """A phrase without slots belongs to one script; premise and right choice are of the same script."""
    script_of = {
        phrase: script
        for theme in load_lexicon().causes_and_effects.themes.values()
        for script in theme
        for phrase in (*script.cause, *script.effect)
        if "{" not in phrase
    }
    pairs = [
        (_script(row["premise"], script_of), _script(_right(row), script_of)) for row in generate("copa")
    ]
    identified = [(premise, choice) for premise, choice in pairs if premise and choice]
    assert len(identified) > 50
    assert all(premise == choice for premise, choice in identified)


def _right(row: dict[str, Any]) -> str:
    return str(row["choice2"] if row["label"] else row["choice1"])


def _script(sentence: str, script_of: dict[str, Script]) -> Script | None:
    return next((script for phrase, script in script_of.items() if sentence.endswith(f" {phrase}.")), None)


def test_wic_offsets_cut_out_the_word() -> None:
    """The end is exclusive; the span is a whole word, sometimes an inflected form."""
    forms: Counter[bool] = Counter()
    for row in generate("wic"):
        for side in "12":
            sentence, start, end = row[f"sentence{side}"], row[f"start{side}"], row[f"end{side}"]
            form = sentence[start:end]
            assert form.isalpha()
            assert not sentence[max(0, start - 1) : start].isalpha()
            assert not sentence[end : end + 1].isalpha()
            assert form[0].lower() == row["word"][0]
            assert "*" not in sentence
            forms[form.lower() == row["word"]] += 1
    assert forms[True] > forms[False] > 0


def test_wic_has_many_words_of_several_senses() -> None:
    """At least 25 words have two or three senses, each with six sentences or more, marked once."""
    assert len(words()) >= 25
    for senses in words().values():
        assert len(senses) in {2, 3}
        assert all(len(sense) >= 6 and all(text.count("*") == 2 for text in sense) for sense in senses)


def test_wsc_spans_are_words_of_the_text() -> None:
    """The word at each index is the text of its span; the candidate is one of two names of one gender."""
    women, men = load_lexicon().names.women, load_lexicon().names.men
    for row in generate("wsc"):
        tokens, target = row["text"].split(), row["target"]
        assert tokens[target["span1_index"]] == target["span1_text"]
        assert tokens[target["span2_index"]] == target["span2_text"]
        assert set(target) == {"span1_index", "span2_index", "span1_text", "span2_text"}
        names = women if target["span2_text"] in {"she", "her"} else men
        assert target["span1_text"] in names
        assert len([token for token in tokens if token in {*women, *men}]) == 2
        assert 8 <= len(tokens) <= 35
        assert tokens[-1] == "."


def test_wsc_has_many_sentences_of_both_kinds() -> None:
    """At least thirty templates have the first person as antecedent, thirty the second; each names both."""
    sentences = load_lexicon().pronoun_sentences
    first, second = sentences.first_antecedent, sentences.second_antecedent
    assert min(len(first), len(second)) >= 30
    assert not set(first) & set(second)
    for template in (*first, *second):
        assert template.count("{a}") == template.count("{b}") == 1
        assert sum(template.count(mark) for mark in ("{p}", "{o}", "{h}")) == 1


def test_ax_b_names_a_phenomenon_and_has_strings_for_indexes() -> None:
    """The fields are the official ones, `idx` is a string, and each phenomenon has both labels."""
    rows = generate("ax-b", "test")
    assert all(set(row) == {"sentence1", "sentence2", "label", "logic", "idx"} for row in rows)
    assert all(isinstance(row["idx"], str) for row in rows)
    assert len({(row["logic"], row["label"]) for row in rows}) == 2 * len({row["logic"] for row in rows}) >= 6
    assert all(
        " not " in row["sentence1"] or " rather than " in row["sentence1"]
        for row in rows
        if row["logic"] == "Negation"
    )


def test_the_pairs_of_ax_g_differ_in_one_pronoun() -> None:
    """Rows 2n and 2n + 1 are pair n; only "he" and "she" at one place in the premise differ."""
    rows = generate("ax-g", "test")
    for pair_id, (one, two) in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        assert set(one) == {"premise", "hypothesis", "label", "pair_id", "idx"}
        assert one["pair_id"] == two["pair_id"] == pair_id
        assert (one["label"], one["hypothesis"]) == (two["label"], two["hypothesis"])
        tokens = zip(one["premise"].split(), two["premise"].split(), strict=True)
        assert [pair for pair in tokens if pair[0] != pair[1]] == [("he", "she")]
