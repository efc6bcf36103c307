"""One text of an embedded row alone says nothing of its label: its words are no better than a blind guess."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest

from harness.workload import synthetic
from harness.workload.synthetic.seeded_choice import Dice
from harness.workload.synthetic.tasks import axb, axg

Texts = list[tuple[str, object]]


@cache
def made(task: str, split: str) -> Sequence[dict[str, Any]]:
    """Write 3,000 rows of train, or all of val; a diagnostic has neither, so its rows are drawn here."""
    if task in synthetic.DIAGNOSTICS:
        row = {"ax-b": axb.row, "ax-g": axg.row}[task]
        return [
            row(Dice("probe", split, number), split) for number in range(3000 if split == "train" else 800)
        ]
    return tuple(synthetic.rows(task, split, 3000))


def copa_choices(split: str) -> Texts:
    """List each choice with whether it is the right one."""
    return [
        (row[f"choice{side + 1}"], side == row["label"]) for row in made("copa", split) for side in (0, 1)
    ]


def multirc_answers(split: str) -> Texts:
    """List the answers with their labels."""
    return [
        (answer["text"], answer["label"])
        for row in made("multirc", split)
        for question in row["passage"]["questions"]
        for answer in question["answers"]
    ]


def multirc_questions(split: str) -> Texts:
    """List question and answer, without the passage, with the label."""
    return [
        (f"{question['question']} {answer['text']}", answer["label"])
        for row in made("multirc", split)
        for question in row["passage"]["questions"]
        for answer in question["answers"]
    ]


def record_candidates(split: str) -> Texts:
    """List the names in a passage, each once, with whether it answers a query."""
    found: Texts = []
    for row in made("record", split):
        text = row["passage"]["text"]
        names = sorted({text[each["start"] : each["end"] + 1] for each in row["passage"]["entities"]})
        for query in row["qas"]:
            right = {answer["text"] for answer in query["answers"]}
            found += [(name, name in right) for name in names]
    return found


def field(task: str, name: str) -> Callable[[str], Texts]:
    """List one field of a task with the label."""
    return lambda split: [(str(row[name]), row["label"]) for row in made(task, split)]


ALONE = {
    "a premise of COPA": field("copa", "premise"),
    "a choice of COPA": copa_choices,
    "an answer of MultiRC": multirc_answers,
    "a question and answer of MultiRC": multirc_questions,
    "a candidate of ReCoRD": record_candidates,
    "the first sentence of WiC": field("wic", "sentence1"),
    "the second sentence of WiC": field("wic", "sentence2"),
    "a text of WSC": field("wsc", "text"),
    "a premise of AX-b": field("ax-b", "sentence1"),
    "a hypothesis of AX-b": field("ax-b", "sentence2"),
    "a premise of AX-g": field("ax-g", "premise"),
    "a hypothesis of AX-g": field("ax-g", "hypothesis"),
}


@pytest.mark.parametrize("what", ALONE)
def test_one_text_alone_says_nothing_of_the_label(what: str) -> None:
    """A bag of one- and two-word features of one text stays within 5 points of the most frequent label."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    seen, labels = zip(*ALONE[what]("train"), strict=True)
    unseen, answers = zip(*ALONE[what]("val"), strict=True)
    features = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=3)
    model = LogisticRegression(C=0.01, max_iter=200).fit(features.fit_transform(seen), labels)
    majority = max(Counter(answers).values()) / len(answers)
    assert model.score(features.transform(unseen), answers) <= majority + 0.05
