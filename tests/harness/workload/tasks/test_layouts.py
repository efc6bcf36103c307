import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.common.errors import DataError
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.example import Example, Span, TextInput
from harness.workload.tasks.prediction_files import read_predictions
from harness.workload.tasks.superglue.wsc import find_span

Row = dict[str, Any]

COPA: Row = {
    "premise": "The jar fell.", "choice1": "The cat jumped up.", "choice2": "The jar was empty.",
    "question": "cause", "label": 1, "idx": 4,
}  # fmt: skip
MULTIRC: Row = {
    "idx": 3,
    "version": 1.1,
    "passage": {
        "text": "Ana sold two kites on Friday.",
        "questions": [
            {
                "question": "What did Ana sell?",
                "answers": [
                    {"text": "Kites", "idx": 20, "label": 1},
                    {"text": "Shoes", "idx": 21, "label": 0},
                    {"text": "", "idx": 22, "label": 0},
                ],
                "idx": 8,
            },
            {"question": "When?", "answers": [{"text": "On Friday", "idx": 23, "label": 1}], "idx": 9},
        ],
    },
}
RECORD: Row = {
    "source": "Daily mail",
    "passage": {
        "text": "Mira Solt opened her play in Arden.\n@highlight\nMira Solt wrote it for Arden.",
        # Mira Solt, Arden, Mira Solt again
        "entities": [{"start": 0, "end": 8}, {"start": 29, "end": 33}, {"start": 47, "end": 55}],
    },
    "qas": [
        {
            "query": "Critics praised @placeholder.",
            "answers": [
                {"start": 0, "end": 8, "text": "Mira Solt"},
                {"start": 47, "end": 55, "text": "Mira Solt"},
            ],
            "idx": 11,
        },
        {
            "query": "@placeholder saw it first.",
            "answers": [{"start": 29, "end": 33, "text": "Arden"}],
            "idx": 12,
        },
    ],
    "idx": 5,
}
WIC: Row = {
    "word": "bank", "sentence1": "He sat on the bank.", "sentence2": "Banks closed.", "idx": 6,
    "label": False, "start1": 14, "start2": 0, "end1": 18, "end2": 5, "version": 1.1,
}  # fmt: skip
WSC: Row = {
    "text": "Tom told Leo that he had won .",
    "target": {"span1_index": 2, "span2_index": 4, "span1_text": "Leo", "span2_text": "he"},
    "idx": 7,
    "label": True,
}
AX_B: Row = {
    "idx": "8", "label": "not_entailment", "sentence1": "The cat sat.", "sentence2": "The cat did not sit.",
    "logic": "Negation",
}  # fmt: skip
AX_G: Row = {
    "hypothesis": "The nurse was late.", "idx": 9, "label": "entailment", "pair_id": 551,
    "premise": "The nurse told him that she was late.",
}  # fmt: skip
ROWS = {
    "copa": COPA, "multirc": MULTIRC, "record": RECORD, "wic": WIC, "wsc": WSC, "ax-b": AX_B, "ax-g": AX_G,
    "boolq": {"question": "is it", "passage": "It is.", "idx": 0, "label": True},
    "cb": {"premise": "It is.", "hypothesis": "it is", "idx": 1, "label": "neutral"},
    "rte": {"premise": "It is.", "hypothesis": "It was.", "idx": 2, "label": "entailment"},
}  # fmt: skip


def read(task: str, folder: Path, *rows: Row, labelled: bool = True) -> list[Example]:
    path = folder / "val.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return get_task(task).read(path, labelled=labelled)


def changed(row: Row, place: str, value: Any = None, *, gone: bool = False) -> Row:
    """Return a copy of a row with one value replaced or taken out; `place` is its path with dots."""
    copy: Any = json.loads(json.dumps(row))
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    inner = copy
    for part in way:
        inner = inner[part]
    if gone:
        del inner[last]
    else:
        inner[last] = value
    changed_row: Row = copy
    return changed_row


def test_copa_has_a_sequence_for_each_choice_with_its_connective(tmp_path: Path) -> None:
    """`because` before a cause, `so` before an effect; the premise comes first, whole."""
    cause, effect = read("copa", tmp_path, COPA, changed(changed(COPA, "question", "effect"), "idx", 5))
    assert cause.inputs == (
        TextInput("The jar fell.", "because The cat jumped up."),
        TextInput("The jar fell.", "because The jar was empty."),
    )
    assert [text.second for text in effect.inputs] == ["so The cat jumped up.", "so The jar was empty."]
    assert (cause.id, cause.gold, cause.candidates) == ("4", ("1",), ("0", "1"))
    assert get_task("copa").targets(cause) == (0, 1)


def test_multirc_makes_an_example_of_each_question(tmp_path: Path) -> None:
    """The passage is the cluster, and comes first; the question with one answer comes second."""
    first, second = read("multirc", tmp_path, MULTIRC)
    passage = "Ana sold two kites on Friday."
    assert first.inputs[0] == TextInput(passage, "What did Ana sell? Kites")
    assert (first.id, second.id, first.cluster, second.cluster) == ("3/8", "3/9", "3", "3")
    assert first.gold == ("true", "false", "false")
    assert first.candidates == ("20", "21", "22")
    assert get_task("multirc").targets(first) == (1, 0, 0)
    assert get_task("multirc").constants(first) == ("000", "111")


def test_an_empty_answer_of_multirc_leaves_only_the_question(tmp_path: Path) -> None:
    """A few official training answers are empty; they are kept as they are."""
    first, _ = read("multirc", tmp_path, MULTIRC)
    second = first.inputs[2].second
    assert second is not None
    assert second.strip() == "What did Ana sell?"


def test_record_merges_mentions_with_the_same_surface_form(tmp_path: Path) -> None:
    """Three mentions, two forms: two candidates in order of appearance. A mention includes its `end`."""
    first, second = read("record", tmp_path, RECORD)
    passage = "Mira Solt opened her play in Arden. Mira Solt wrote it for Arden."
    assert first.candidates == ("Mira Solt", "Arden")
    assert first.inputs == (
        TextInput(passage, "Critics praised Mira Solt."),
        TextInput(passage, "Critics praised Arden."),
    )
    assert (first.id, second.id, first.cluster, second.cluster) == ("5/11", "5/12", "5", "5")
    assert (first.gold, second.gold) == (("Mira Solt",), ("Arden",))
    assert [get_task("record").targets(example) for example in (first, second)] == [(1, 0), (0, 1)]


def test_candidates_of_record_are_compared_without_case_and_punctuation(tmp_path: Path) -> None:
    """Training targets agree with the metric: a gold answer `the mira solt!` is Mira Solt."""
    (first, _) = read("record", tmp_path, changed(RECORD, "qas.0.answers.0.text", "the mira solt!"))
    assert first.gold == ("the mira solt!", "Mira Solt")
    assert get_task("record").targets(first) == (1, 0)


def test_wic_has_a_span_in_each_sentence(tmp_path: Path) -> None:
    """Ends are exclusive; in the second sentence the word is inflected and capitalised."""
    (example,) = read("wic", tmp_path, WIC)
    (text,) = example.inputs
    assert text == TextInput("He sat on the bank.", "Banks closed.", (Span(14, 18, 0), Span(0, 5, 1)))
    assert example.gold == ("false",)


def test_wsc_has_a_span_for_noun_and_pronoun(tmp_path: Path) -> None:
    """The file counts words: `Leo` is the third, `he` the fifth."""
    (example,) = read("wsc", tmp_path, WSC)
    (text,) = example.inputs
    assert [text.first[span.start : span.end] for span in text.spans] == ["Leo", "he"]
    assert (text.second, example.gold) == (None, ("true",))


def test_the_diagnostics_are_laid_out_as_rte_is(tmp_path: Path) -> None:
    """AX-b has its idx as text; AX-g's pairs are clusters; RTE's models answer both."""
    (negation,) = read("ax-b", tmp_path, AX_B)
    assert negation.inputs == (TextInput("The cat sat.", "The cat did not sit."),)
    assert (negation.id, negation.gold, negation.cluster) == ("8", ("not_entailment",), "")
    (nurse,) = read("ax-g", tmp_path, AX_G)
    assert nurse.inputs == (TextInput("The nurse told him that she was late.", "The nurse was late."),)
    assert (nurse.id, nurse.cluster) == ("9", "551")
    for name in ("ax-b", "ax-g"):
        assert get_task(name).model_task == "rte"
        assert get_task(name).labels == get_task("rte").labels
        assert list(get_task(name).splits) == ["test"]


@pytest.mark.parametrize(
    ("text", "words", "index", "expected"),
    [
        ("the man saw it", "The man", 0, "the man"),  # another case
        ("I saw Tom, who left", "Tom", 2, "Tom"),  # a comma after it in the text
        ("I saw Tom who left", "Tom,", 2, "Tom"),  # a comma in the span only
        ("Give it to Mark.", "Mark.", 3, "Mark"),  # a full stop does not belong to the name
        ("the old\nman left", "old man", 1, "old\nman"),  # a line break inside
        ("he told him", "him", 0, "him"),  # a wrong index; `him` is found as a whole word
        ("they saw the others", "the", 0, "the"),  # `they` begins with `the` and does not match
        ("Tom's hat fell", "Tom", 0, "Tom"),  # possessive in the text
        ("the boy's hat", "the boy's", 0, "the boy's"),  # in both
        ("so he said", "he", 99, "he"),  # an index beyond the text
        ("so he said", "he", -1, "he"),
    ],
)
def test_a_span_of_wsc_is_found_in_the_text(text: str, words: str, index: int, expected: str) -> None:
    """Case, punctuation around words and kinds of blanks are ignored; only whole words match."""
    span = find_span(text, words, index)
    assert text[span.start : span.end] == expected


def test_of_several_occurrences_the_nearest_to_the_index_is_taken() -> None:
    """`he` is word 0, 3 and 6; an index that is off by one finds the neighbouring occurrence."""
    text = "he saw that he said what he did"
    assert [find_span(text, "he", index).start for index in (0, 1, 2, 4, 6, 7)] == [0, 0, 12, 12, 25, 25]


def test_a_span_that_is_not_in_the_text_is_an_error() -> None:
    """An empty span too."""
    for words in ("Leonard", "", "told Tom"):
        with pytest.raises(DataError, match="the text does not contain the words of a span"):
            find_span("Tom told Leo", words, 0)


BAD = [
    ("copa", changed(COPA, "question", "reason"), 'must be cause or effect, got "reason"'),
    ("copa", changed(COPA, "label", True), "the label must be 0 or 1, got true"),
    ("copa", changed(COPA, "label", "1"), 'the label must be 0 or 1, got "1"'),
    ("copa", changed(COPA, "label", 2), "the label must be 0 or 1, got 2"),
    ("copa", changed(COPA, "choice2", gone=True), "the field 'choice2' is missing"),
    ("multirc", changed(MULTIRC, "passage", "text"), "'passage' must be an object, got text"),
    ("multirc", changed(MULTIRC, "passage.questions", []), "'questions' must be a list of objects"),
    ("multirc", changed(MULTIRC, "passage.questions.0.answers", []), "'answers' must be a list of objects"),
    ("multirc", changed(MULTIRC, "passage.questions.0.answers.1", "Shoes"), "'answers' must be a list"),
    (
        "multirc",
        changed(MULTIRC, "passage.questions.0.answers.1.label", "0"),
        'the label must be 0 or 1, got "0"',
    ),
    (
        "multirc",
        changed(MULTIRC, "passage.questions.0.answers.1.label", 2),
        "the label must be 0 or 1, got 2",
    ),
    (
        "multirc",
        changed(MULTIRC, "passage.questions.1.answers.0.text", None),
        "'text' must be text, got null",
    ),
    ("multirc", changed(MULTIRC, "passage.questions.1.question", gone=True), "'question' is missing"),
    ("record", changed(RECORD, "qas.1.query", "Nobody saw it."), "lacks @placeholder"),
    ("record", changed(RECORD, "passage.entities.0.end", 76), "76 characters of its passage, got 0 to 76"),
    ("record", changed(RECORD, "passage.entities.0.start", -1), "76 characters of its passage, got -1 to 8"),
    ("record", changed(RECORD, "passage.entities.0.start", 9), "76 characters of its passage, got 9 to 8"),
    (
        "record",
        changed(RECORD, "passage.entities.0.start", 0.0),
        "'start' must be a whole number, got a number with decimals",
    ),
    ("record", changed(RECORD, "passage.entities", []), "'entities' must be a list of objects"),
    ("record", changed(RECORD, "qas", []), "'qas' must be a list of objects"),
    ("record", changed(RECORD, "qas.0.answers", []), "'answers' must be a list of objects"),
    ("record", changed(RECORD, "qas.0.answers.0.text", 5), "'text' must be text, got a whole number"),
    ("wic", changed(WIC, "end1", 20), "sentence1 (19 characters) has no word at characters 14 to 20"),
    ("wic", changed(WIC, "start2", 5), "sentence2 (13 characters) has no word at characters 5 to 5"),
    ("wic", changed(WIC, "start1", -1), "sentence1 (19 characters) has no word at characters -1 to 18"),
    ("wic", changed(changed(WIC, "start1", 6), "end1", 7), "has no word at characters 6 to 7"),
    ("wic", changed(WIC, "start1", "14"), "'start1' must be a whole number, got text"),
    ("wic", changed(WIC, "label", "false"), 'the label must be one of false, true, got "false"'),
    ("wic", changed(WIC, "label", 0), "the label must be one of false, true, got 0"),
    ("wsc", changed(WSC, "target.span1_text", "Leonard"), "does not contain the words of a span (1)"),
    (
        "wsc",
        changed(WSC, "target.span2_index", True),
        "'span2_index' must be a whole number, got true or false",
    ),
    ("wsc", changed(WSC, "target", []), "'target' must be an object, got a list"),
    ("wsc", changed(WSC, "label", "True"), 'the label must be one of false, true, got "True"'),
    (
        "ax-b",
        changed(AX_B, "label", "neutral"),
        'the label must be one of "entailment", "not_entailment", got "neutral"',
    ),
    ("ax-g", changed(AX_G, "pair_id", gone=True), "'pair_id' is missing"),
]


@pytest.mark.parametrize(
    ("task", "row", "message"), BAD, ids=[f"{task}: {message}" for task, _, message in BAD]
)
def test_an_error_in_a_row_names_file_and_line(tmp_path: Path, task: str, row: Row, message: str) -> None:
    """The second row is the invalid one."""
    with pytest.raises(DataError) as caught:
        read(task, tmp_path, ROWS[task], row)
    assert message in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.startswith(f"{tmp_path / 'val.jsonl'}:2")


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_split_with_hidden_labels_is_read_without_them(tmp_path: Path, task: str) -> None:
    """As in the official test files: no label, and in ReCoRD no answers."""
    row = changed(ROWS[task], "label", gone=True) if "label" in ROWS[task] else ROWS[task]
    if task == "record":
        row = changed(changed(row, "qas.0.answers", gone=True), "qas.1.answers", gone=True)
    if task == "multirc":
        for place in ("0.answers.0", "0.answers.1", "0.answers.2", "1.answers.0"):
            row = changed(row, f"passage.questions.{place}.label", gone=True)
    hidden = read(task, tmp_path, row, labelled=False)
    assert {example.gold for example in hidden} == {()}
    labelled = read(task, tmp_path, ROWS[task])
    assert [example.inputs for example in hidden] == [example.inputs for example in labelled]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_row_without_an_idx_has_its_line_number_as_id(tmp_path: Path, task: str) -> None:
    """No two examples share an id, also within a passage, so every one can be answered."""
    row = changed(ROWS[task], "idx", gone=True)
    if task == "record":
        row = changed(changed(row, "qas.0.idx", gone=True), "qas.1.idx", gone=True)
    if task == "multirc":
        row = changed(
            changed(row, "passage.questions.0.idx", gone=True), "passage.questions.1.idx", gone=True
        )
    examples = read(task, tmp_path, row, row)
    assert len({example.id for example in examples}) == len(examples)
    lines = {example.cluster or example.id for example in examples}
    assert lines == ({"551"} if task == "ax-g" else {"1", "2"})
    answers = [get_task(task).constants(example)[-1] for example in examples]
    rows = get_task(task).answer_rows(examples, answers)
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_predictions(get_task(task), path, examples) == answers


PUBLISHED = {
    "boolq": (["true"], [{"idx": 0, "label": "true"}]),
    "cb": (["neutral"], [{"idx": 1, "label": "neutral"}]),
    "rte": (["not_entailment"], [{"idx": 2, "label": "not_entailment"}]),
    "copa": (["1"], [{"idx": 4, "label": 1}]),
    "wic": (["false"], [{"idx": 6, "label": "false"}]),
    "wsc": (["true"], [{"idx": 7, "label": "True"}]),
    "ax-b": (["entailment"], [{"idx": 8, "label": "entailment"}]),
    "ax-g": (["entailment"], [{"idx": 9, "label": "entailment"}]),
    "record": (["1", "0"], [{"idx": 11, "label": "Arden"}, {"idx": 12, "label": "Mira Solt"}]),
    "multirc": (
        ["101", "0"],
        [
            {
                "idx": 3,
                "passage": {
                    "questions": [
                        {
                            "idx": 8,
                            "answers": [
                                {"idx": 20, "label": 1},
                                {"idx": 21, "label": 0},
                                {"idx": 22, "label": 1},
                            ],
                        },
                        {"idx": 9, "answers": [{"idx": 23, "label": 0}]},
                    ]
                },
            }
        ],
    ),
}


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_prediction_rows_are_the_published_ones(tmp_path: Path, task: str) -> None:
    """Types too: 1 and true differ here. The rows can be read back into the answers."""
    examples = read(task, tmp_path, ROWS[task])
    answers, rows = PUBLISHED[task]
    written = get_task(task).answer_rows(examples, answers)
    assert json.dumps(written) == json.dumps(rows)
    by_id = dict(get_task(task).answers_in(written, examples))
    assert [by_id[example.id] for example in examples] == answers


@pytest.mark.parametrize("name", TASKS, ids=str)
def test_decided_answers_are_valid_and_other_texts_are_not(tmp_path: Path, name: str) -> None:
    """One answer per example from logits of the head's shape, and one target per sequence."""
    task = get_task(name)
    examples = read(name, tmp_path, ROWS[name])
    offsets = np.cumsum([0, *(len(example.inputs) for example in examples)])
    logits = np.arange(offsets[-1] * len(task.labels), dtype=np.float32).reshape(offsets[-1], -1)
    answers = task.decide(logits, offsets)
    # logits grow from left to right and from top to bottom: the last label, the last candidate, all true
    last = {"copa": ["1"], "record": ["1", "1"], "multirc": ["111", "1"]}
    assert answers == last.get(name, [task.labels[-1]])
    for example, answer in zip(examples, answers, strict=True):
        assert task.valid(answer, example)
        assert all(task.valid(constant, example) for constant in task.constants(example))
        assert not task.valid("perhaps", example)
        assert len(task.targets(example)) == len(example.inputs)
        assert set(task.targets(example)) <= {0, 1, 2}


@pytest.mark.parametrize(("task", "answer"), [("multirc", "10"), ("multirc", "1012"), ("multirc", "120")])
def test_an_answer_of_another_length_or_alphabet_is_invalid(tmp_path: Path, task: str, answer: str) -> None:
    """The first question has three candidates."""
    assert not get_task(task).valid(answer, read(task, tmp_path, ROWS[task])[0])


@pytest.mark.parametrize(
    ("answer", "valid"), [("0", True), ("1", True), ("", True), ("2", False), ("-1", False), ("²", False)]
)
def test_a_position_of_record_lies_among_its_candidates(tmp_path: Path, answer: str, valid: bool) -> None:
    """Two candidates, or an empty answer; digits of other scripts are invalid."""
    assert get_task("record").valid(answer, read("record", tmp_path, RECORD)[0]) == valid


def test_the_first_candidate_with_the_highest_score_is_the_answer() -> None:
    """Three requests of two, three and one candidates."""
    scores = np.array([[1.0], [1.0], [-3.0], [-1.0], [-2.0], [0.0]], dtype=np.float32)
    assert get_task("record").decide(scores, np.array([0, 2, 5, 6])) == ["0", "1", "0"]


def test_half_a_surrogate_pair_is_an_error(tmp_path: Path) -> None:
    """JSON can hold one, and no tokenizer reads it: the error comes before anything is measured."""
    path = tmp_path / "val.jsonl"
    path.write_text(json.dumps({**COPA, "premise": "The jar \ud83d fell."}) + "\n")
    with pytest.raises(DataError, match="half a character"):
        get_task("copa").read(path, labelled=True)
    path.write_text(json.dumps({**COPA, "premise": "The jar \U0001f3fa fell."}) + "\n")
    assert get_task("copa").read(path, labelled=True)


def test_answers_of_one_idx_are_refused(tmp_path: Path) -> None:
    """A prediction file names an answer by its idx alone."""
    with pytest.raises(DataError, match="two answers of the question have the same idx"):
        read("multirc", tmp_path, changed(MULTIRC, "passage.questions.0.answers.1.idx", 20))


def test_queries_of_one_idx_in_two_passages_cannot_be_answered(tmp_path: Path) -> None:
    """A prediction file names a query by its idx, without the passage."""
    examples = read("record", tmp_path, RECORD, changed(RECORD, "idx", 6))
    path = tmp_path / "ReCoRD.jsonl"
    path.write_text(json.dumps({"idx": 11, "label": "Arden"}))
    with pytest.raises(DataError, match="two queries of the split have the same idx"):
        read_predictions(get_task("record"), path, examples)
