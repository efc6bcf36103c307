"""One text of a generated row alone does not predict its label better than the most frequent label does."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest

from harness.workload import synthetic
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.tasks import axb, axg

Texts = list[tuple[str, object]]


@cache
def generate(task: str, split: str) -> Sequence[dict[str, Any]]:
    """Generate 3,000 rows of train, or all of val; a diagnostic has neither, so its rows are drawn here."""
    if task in synthetic.DIAGNOSTICS:
        draw_row = {"ax-b": axb.draw_row, "ax-g": axg.draw_row}[task]
        count = 3000 if split == "train" else 800
        return [draw_row(SeededRandom("probe", split, index), split) for index in range(count)]
    return tuple(synthetic.rows(task, split, 3000))


def copa_choices(split: str) -> Texts:
    """List each choice with whether it is the right one."""
    return [
        (row[f"choice{side + 1}"], side == row["label"]) for row in generate("copa", split) for side in (0, 1)
    ]


def multirc_answers(split: str) -> Texts:
    """List the answers with their labels."""
    return [
        (answer["text"], answer["label"])
        for row in generate("multirc", split)
        for question in row["passage"]["questions"]
        for answer in question["answers"]
    ]


def multirc_questions(split: str) -> Texts:
    """List question and answer, without the passage, with the label."""
    return [
        (f"{question['question']} {answer['text']}", answer["label"])
        for row in generate("multirc", split)
        for question in row["passage"]["questions"]
        for answer in question["answers"]
    ]


def record_candidates(split: str) -> Texts:
    """List the names in a passage, each once, with whether it answers a query."""
    candidates: Texts = []
    for row in generate("record", split):
        text = row["passage"]["text"]
        names = sorted({text[entity["start"] : entity["end"] + 1] for entity in row["passage"]["entities"]})
        for query in row["qas"]:
            right = {answer["text"] for answer in query["answers"]}
            candidates += [(name, name in right) for name in names]
    return candidates


def field(task: str, name: str) -> Callable[[str], Texts]:
    """List one field of a task with the label."""
    return lambda split: [(str(row[name]), row["label"]) for row in generate(task, split)]


SINGLE_TEXTS = {
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


@pytest.mark.parametrize("name", SINGLE_TEXTS)
def test_one_text_alone_does_not_predict_the_label(name: str) -> None:
    """A bag of one- and two-word features of one text stays within 5 points of the most frequent label."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    train_texts, train_labels = zip(*SINGLE_TEXTS[name]("train"), strict=True)
    val_texts, val_labels = zip(*SINGLE_TEXTS[name]("val"), strict=True)
    features = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=3)
    model = LogisticRegression(C=0.01, max_iter=200).fit(features.fit_transform(train_texts), train_labels)
    majority = max(Counter(val_labels).values()) / len(val_labels)
    assert model.score(features.transform(val_texts), val_labels) <= majority + 0.05
