"""The generated rows of MultiRC and ReCoRD: fields, numbering, offsets, shares and lengths."""

from functools import cache
from typing import Any

import pytest

from harness.workload import synthetic
from harness.workload.synthetic.prose import count_tokens


@cache
def generate(task: str, split: str = "val", limit: int | None = None) -> tuple[dict[str, Any], ...]:
    """Generate the rows of a split once for all tests."""
    return tuple(synthetic.rows(task, split, limit))


def questions(split: str = "val") -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """List (row, question) of MultiRC."""
    return [(row, question) for row in generate("multirc", split) for question in row["passage"]["questions"]]


def queries(split: str = "val") -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """List (row, query) of ReCoRD."""
    return [(row, query) for row in generate("record", split) for query in row["qas"]]


@pytest.mark.parametrize("task", ["multirc", "record"])
def test_no_passage_occurs_twice_within_or_between_splits(task: str) -> None:
    """No passage of val or test occurs twice, nor in 3,000 passages of train."""
    passages = [row["passage"]["text"] for split in synthetic.SPLITS for row in generate(task, split, 3000)]
    assert len(set(passages)) == len(passages)


@pytest.mark.parametrize("task", ["multirc", "record"])
def test_a_limit_on_sentences_shortens_passages(task: str) -> None:
    """With at most 3 sentences a passage states few facts; the passages of a split are longer."""
    short = [
        count_tokens(row["passage"]["text"]) for row in synthetic.rows(task, "train", 200, max_sentences=3)
    ]  # type: ignore[index]
    full = [count_tokens(row["passage"]["text"]) for row in generate(task, "train", 200)]
    assert sum(short) < 0.75 * sum(full)


def test_multirc_carries_exactly_the_official_fields() -> None:
    """Rows are passages with questions with answers; answers of test have no label."""
    for split, official in (("val", {"text", "idx", "label"}), ("test", {"text", "idx"})):
        for row, question in questions(split):
            assert set(row) == {"idx", "version", "passage"}
            assert set(row["passage"]) == {"text", "questions"}
            assert set(question) == {"question", "answers", "idx"}
            assert all(set(answer) == official for answer in question["answers"])


def test_multirc_numbers_continue_across_passages() -> None:
    """Questions and answers are numbered from 0 to the end of the file."""
    indices = [question["idx"] for _, question in questions()]
    answers = [answer["idx"] for _, question in questions() for answer in question["answers"]]
    assert indices == list(range(len(indices)))
    assert answers == list(range(len(answers)))


def test_multirc_has_several_questions_and_answers() -> None:
    """A passage has 2 or 3 questions, a question 3 to 5 answers, some right and some wrong, all different."""
    assert len(questions()) >= 250
    for row in generate("multirc"):
        texts = [question["question"] for question in row["passage"]["questions"]]
        assert len(texts) == len(set(texts)) in {2, 3}
    for _, question in questions():
        texts = [answer["text"] for answer in question["answers"]]
        assert len(texts) == len(set(texts)) in {3, 4, 5}
        assert {answer["label"] for answer in question["answers"]} == {0, 1}


def test_two_answers_in_five_of_multirc_are_right() -> None:
    """The share is near that of the official data, 0.44; some questions have several right answers."""
    labels = [[answer["label"] for answer in question["answers"]] for _, question in questions()]
    share = sum(map(sum, labels)) / sum(map(len, labels))
    assert share == pytest.approx(0.42, abs=0.05)
    assert sum(sum(right) > 1 for right in labels) > len(labels) / 4


def test_multirc_fits_into_256_tokens() -> None:
    """Passage, question, answer and three special tokens; passages are as long as those of BoolQ."""
    lengths = [
        count_tokens(row["passage"]["text"])
        + count_tokens(question["question"])
        + count_tokens(answer["text"])
        + 3
        for row, question in questions()
        for answer in question["answers"]
    ]
    assert max(lengths) <= 256
    assert 120 <= sum(lengths) / len(lengths) <= 200


def test_record_carries_exactly_the_official_fields() -> None:
    """Rows are passages with entities and queries; queries of test have no answers."""
    for split, official in (("val", {"query", "answers", "idx"}), ("test", {"query", "idx"})):
        for row, query in queries(split):
            assert set(row) == {"source", "passage", "qas", "idx"}
            assert set(row["passage"]) == {"text", "entities"}
            assert all(set(entity) == {"start", "end"} for entity in row["passage"]["entities"])
            assert set(query) == official
    assert [query["idx"] for _, query in queries()] == list(range(len(queries())))
    assert {len(row["qas"]) for row in generate("record")} == {1, 2}


def test_record_offsets_are_inclusive_and_answers_are_entities() -> None:
    """Both offsets are letters of a name; each answer is an entity and has its text."""
    for row, query in queries():
        text = row["passage"]["text"]
        spans = [(entity["start"], entity["end"]) for entity in row["passage"]["entities"]]
        assert spans == sorted(set(spans))
        for start, end in spans:
            assert text[start].isupper()
            assert text[start - 1 : start] in {"", " ", "\n"}
            assert text[end].isalpha()
            assert not text[end + 1].isalnum()
        for answer in query["answers"]:
            assert (answer["start"], answer["end"]) in spans
            assert text[answer["start"] : answer["end"] + 1] == answer["text"]


def test_a_record_answer_lists_every_mention_of_one_entity() -> None:
    """Every entity with the text of an answer is an answer; other forms end in the same name."""
    for row, query in queries():
        text, answers = row["passage"]["text"], query["answers"]
        forms = {answer["text"] for answer in answers}
        mentions = [text[entity["start"] : entity["end"] + 1] for entity in row["passage"]["entities"]]
        assert sum(mention in forms for mention in mentions) == len(answers) > 0
        assert len({form.split()[-1] for form in forms}) == 1
    assert any(len({answer["text"] for answer in query["answers"]}) == 2 for _, query in queries())


def test_a_record_query_leaves_out_one_name() -> None:
    """The placeholder occurs once, and the query does not name the answer."""
    for _, query in queries():
        assert query["query"].count("@placeholder") == 1
        assert query["answers"][0]["text"] not in query["query"]


def test_record_passages_have_highlights_and_their_length() -> None:
    """60 to 200 tokens, two or three highlights, and at most 256 tokens with a query and special tokens."""
    for row, query in queries():
        length = count_tokens(row["passage"]["text"])
        assert 60 <= length <= 200
        assert row["passage"]["text"].count("\n@highlight\n") in {2, 3}
        restored = query["query"].replace("@placeholder", query["answers"][0]["text"])
        assert length + count_tokens(restored) + 3 <= 256


def test_record_passages_name_several_entities() -> None:
    """Two to five full names occur in a passage, last names alone not counted."""
    for row in generate("record"):
        text = row["passage"]["text"]
        names = {text[entity["start"] : entity["end"] + 1] for entity in row["passage"]["entities"]}
        full = {name for name in names if " " in name}
        assert 2 <= len(full) <= 5
