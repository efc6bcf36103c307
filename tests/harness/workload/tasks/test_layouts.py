import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.common.errors import DataError
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.example import Example, Span, TextInput
from harness.workload.tasks.prediction_files import read_predictions
from harness.workload.tasks.superglue.wsc import word_span

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


def test_copa_asks_once_for_each_choice_with_its_connective(tmp_path: Path) -> None:
    """`because` before a cause, `so` before an effect; the premise stands first and whole."""
    cause, effect = read("copa", tmp_path, COPA, changed(COPA, "question", "effect"))
    assert cause.inputs == (
        TextInput("The jar fell.", "because The cat jumped up."),
        TextInput("The jar fell.", "because The jar was empty."),
    )
    assert [text.second for text in effect.inputs] == ["so The cat jumped up.", "so The jar was empty."]
    assert (cause.id, cause.gold, cause.candidates) == ("4", ("1",), ("0", "1"))
    assert get_task("copa").targets(cause) == (0, 1)


def test_multirc_makes_an_example_of_each_question(tmp_path: Path) -> None:
    """Its passage is the cluster; the passage stands first, the question with one answer second."""
    first, second = read("multirc", tmp_path, MULTIRC)
    passage = "Ana sold two kites on Friday."
    assert first.inputs[0] == TextInput(passage, "What did Ana sell? Kites")
    assert (first.id, second.id, first.cluster, second.cluster) == ("3/8", "3/9", "3", "3")
    assert first.gold == ("true", "false", "false")
    assert first.candidates == ("20", "21", "22")
    assert get_task("multirc").targets(first) == (1, 0, 0)
    assert get_task("multirc").constants(first) == ("000", "111")


def test_an_empty_answer_of_multirc_leaves_the_question_alone(tmp_path: Path) -> None:
    """A few official training answers are empty; they are neither dropped nor filled in."""
    first, _ = read("multirc", tmp_path, MULTIRC)
    second = first.inputs[2].second
    assert second is not None
    assert second.strip() == "What did Ana sell?"


def test_record_merges_mentions_of_one_form_whose_end_is_inclusive(tmp_path: Path) -> None:
    """Three mentions, two forms: two candidates in order of appearance, each filled into the query."""
    first, second = read("record", tmp_path, RECORD)
    passage = "Mira Solt opened her play in Arden. Mira Solt wrote it for Arden."
    assert first.candidates == ("Mira Solt", "Arden")
    assert first.inputs == (
        TextInput(passage, "Critics praised Mira Solt."),
        TextInput(passage, "Critics praised Arden."),
    )
    assert (first.id, second.id, first.cluster, second.cluster) == ("5/11", "5/12", "5", "5")
    assert (first.gold, second.gold) == (("Mira Solt",), ("Arden",))
    assert [get_task("record").targets(each) for each in (first, second)] == [(1, 0), (0, 1)]


def test_a_candidate_of_record_is_right_whatever_its_case_and_marks(tmp_path: Path) -> None:
    """Training agrees with the metric: a gold `the mira solt` means Mira Solt."""
    (first, _) = read("record", tmp_path, changed(RECORD, "qas.0.answers.0.text", "the mira solt!"))
    assert first.gold == ("the mira solt!", "Mira Solt")
    assert get_task("record").targets(first) == (1, 0)


def test_wic_points_at_characters_of_both_sentences(tmp_path: Path) -> None:
    """End exclusive; the second holds the word inflected and with a capital."""
    (example,) = read("wic", tmp_path, WIC)
    (text,) = example.inputs
    assert text == TextInput("He sat on the bank.", "Banks closed.", (Span(14, 18, 0), Span(0, 5, 1)))
    assert example.gold == ("false",)


def test_wsc_points_at_characters_of_its_words(tmp_path: Path) -> None:
    """The file counts words; `Leo` is the third, `he` the fifth."""
    (example,) = read("wsc", tmp_path, WSC)
    (text,) = example.inputs
    assert [text.first[span.start : span.end] for span in text.spans] == ["Leo", "he"]
    assert (text.second, example.gold) == (None, ("true",))


def test_the_diagnostics_are_laid_out_as_rte_is(tmp_path: Path) -> None:
    """AX-b writes its idx as text; AX-g's pairs are clusters; RTE's models answer both."""
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
    ("text", "wanted", "index", "found"),
    [
        ("the man saw it", "The man", 0, "the man"),  # another case
        ("I saw Tom, who left", "Tom", 2, "Tom"),  # a comma behind it in the text
        ("I saw Tom who left", "Tom,", 2, "Tom"),  # and in the span alone
        ("Give it to Mark.", "Mark.", 3, "Mark"),  # the full stop is no part of a name
        ("the old\nman left", "old man", 1, "old\nman"),  # a line break inside
        ("he told him", "him", 0, "him"),  # a wrong index, and `him` begins no other word
        ("they saw the others", "the", 0, "the"),  # `they` begins with it and is not it
        ("Tom's hat fell", "Tom", 0, "Tom"),  # possessive in the text
        ("the boy's hat", "the boy's", 0, "the boy's"),  # in both
        ("so he said", "he", 99, "he"),  # an index beyond the text
        ("so he said", "he", -1, "he"),
    ],
)
def test_a_span_of_wsc_is_found_where_it_stands(text: str, wanted: str, index: int, found: str) -> None:
    """Case, marks around words and kinds of blanks do not count; whole words do."""
    span = word_span(text, wanted, index)
    assert text[span.start : span.end] == found


def test_of_several_places_the_nearest_to_the_index_is_taken() -> None:
    """`he` is word 0, 3 and 6; an index that is off by one finds the one beside it."""
    text = "he saw that he said what he did"
    assert [word_span(text, "he", index).start for index in (0, 1, 2, 4, 6, 7)] == [0, 0, 12, 12, 25, 25]


def test_spans_that_are_not_in_the_text_are_refused() -> None:
    """Not guessed; nor is nothing taken for a word."""
    for wanted in ("Leonard", "", "told Tom"):
        with pytest.raises(DataError, match="the text does not hold the"):
            word_span("Tom told Leo", wanted, 0)


BAD = [
    ("copa", changed(COPA, "question", "reason"), "neither cause nor effect"),
    ("copa", changed(COPA, "label", True), "label true is not 0 or 1"),
    ("copa", changed(COPA, "label", "1"), 'label "1" is not 0 or 1'),
    ("copa", changed(COPA, "label", 2), "label 2 is not 0 or 1"),
    ("copa", changed(COPA, "choice2", gone=True), "the field 'choice2' is missing"),
    ("multirc", changed(MULTIRC, "passage", "text"), "'passage' is str, not an object"),
    ("multirc", changed(MULTIRC, "passage.questions", []), "'questions' is no list of objects"),
    ("multirc", changed(MULTIRC, "passage.questions.0.answers", []), "'answers' is no list of objects"),
    ("multirc", changed(MULTIRC, "passage.questions.0.answers.1", "Shoes"), "'answers' is no list"),
    ("multirc", changed(MULTIRC, "passage.questions.0.answers.1.label", "0"), 'label "0" is not 0 or 1'),
    ("multirc", changed(MULTIRC, "passage.questions.0.answers.1.label", 2), "label 2 is not 0 or 1"),
    ("multirc", changed(MULTIRC, "passage.questions.1.answers.0.text", None), "'text' is NoneType, not text"),
    ("multirc", changed(MULTIRC, "passage.questions.1.question", gone=True), "'question' is missing"),
    ("record", changed(RECORD, "qas.1.query", "Nobody saw it."), "lacks @placeholder"),
    ("record", changed(RECORD, "passage.entities.0.end", 76), "0 to 76 of 76 characters"),
    ("record", changed(RECORD, "passage.entities.0.start", -1), "-1 to 8 of 76 characters"),
    ("record", changed(RECORD, "passage.entities.0.start", 9), "9 to 8 of 76 characters"),
    ("record", changed(RECORD, "passage.entities.0.start", 0.0), "'start' is float, not a whole number"),
    ("record", changed(RECORD, "passage.entities", []), "'entities' is no list of objects"),
    ("record", changed(RECORD, "qas", []), "'qas' is no list of objects"),
    ("record", changed(RECORD, "qas.0.answers", []), "'answers' is no list of objects"),
    ("record", changed(RECORD, "qas.0.answers.0.text", 5), "'text' is int, not text"),
    ("wic", changed(WIC, "end1", 20), "characters 14 to 20 of sentence1"),
    ("wic", changed(WIC, "start2", 5), "characters 5 to 5 of sentence2"),
    ("wic", changed(WIC, "start1", -1), "characters -1 to 18 of sentence1"),
    ("wic", changed(changed(WIC, "start1", 6), "end1", 7), "hold no word"),
    ("wic", changed(WIC, "start1", "14"), "'start1' is str, not a whole number"),
    ("wic", changed(WIC, "label", "false"), 'label "false" is not one of WiC\'s'),
    ("wic", changed(WIC, "label", 0), "label 0 is not one of WiC's"),
    ("wsc", changed(WSC, "target.span1_text", "Leonard"), "does not hold the 1 words"),
    ("wsc", changed(WSC, "target.span2_index", True), "'span2_index' is bool, not a whole number"),
    ("wsc", changed(WSC, "target", []), "'target' is list, not an object"),
    ("wsc", changed(WSC, "label", "True"), 'label "True" is not one of WSC\'s'),
    ("ax-b", changed(AX_B, "label", "neutral"), 'label "neutral" is not one of AX-b\'s'),
    ("ax-g", changed(AX_G, "pair_id", gone=True), "'pair_id' is missing"),
]


@pytest.mark.parametrize(("task", "row", "words"), BAD, ids=[f"{task}: {words}" for task, _, words in BAD])
def test_a_bad_row_is_named_with_its_file_and_line(tmp_path: Path, task: str, row: Row, words: str) -> None:
    """The second row is the bad one, and the message says what is wrong with it."""
    with pytest.raises(DataError) as caught:
        read(task, tmp_path, ROWS[task], row)
    assert words in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.startswith(f"{tmp_path / 'val.jsonl'}:2")


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_split_that_hides_its_labels_is_read_without_them(tmp_path: Path, task: str) -> None:
    """As the official test files are: no label, and in ReCoRD no answers."""
    row = changed(ROWS[task], "label", gone=True) if "label" in ROWS[task] else ROWS[task]
    if task == "record":
        row = changed(changed(row, "qas.0.answers", gone=True), "qas.1.answers", gone=True)
    if task == "multirc":
        for place in ("0.answers.0", "0.answers.1", "0.answers.2", "1.answers.0"):
            row = changed(row, f"passage.questions.{place}.label", gone=True)
    hidden = read(task, tmp_path, row, labelled=False)
    assert {example.gold for example in hidden} == {()}
    shown = read(task, tmp_path, ROWS[task])
    assert [example.inputs for example in hidden] == [example.inputs for example in shown]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_row_without_an_idx_is_known_by_its_line(tmp_path: Path, task: str) -> None:
    """No two examples share an id, also within a passage, so each can be answered."""
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
    """Types included: 1 and true are not the same here; and the rows give the answers back."""
    examples = read(task, tmp_path, ROWS[task])
    answers, rows = PUBLISHED[task]
    written = get_task(task).answer_rows(examples, answers)
    assert json.dumps(written) == json.dumps(rows)
    found = dict(get_task(task).answers_in(written, examples))
    assert [found[example.id] for example in examples] == answers


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_what_is_decided_is_valid_and_what_is_not_decided_is_not(tmp_path: Path, task: str) -> None:
    """An answer for each example from logits of the head's shape; targets as many as sequences."""
    asked = get_task(task)
    examples = read(task, tmp_path, ROWS[task])
    offsets = np.cumsum([0, *(len(example.inputs) for example in examples)])
    logits = np.arange(offsets[-1] * len(asked.labels), dtype=np.float32).reshape(offsets[-1], -1)
    answers = asked.decide(logits, offsets)
    # logits grow from left to right and from top to bottom: the last label, the last candidate, all true
    last = {"copa": ["1"], "record": ["1", "1"], "multirc": ["111", "1"]}
    assert answers == last.get(task, [asked.labels[-1]])
    for example, answer in zip(examples, answers, strict=True):
        assert asked.valid(answer, example)
        assert all(asked.valid(constant, example) for constant in asked.constants(example))
        assert not asked.valid("perhaps", example)
        assert len(asked.targets(example)) == len(example.inputs)
        assert set(asked.targets(example)) <= {0, 1, 2}


@pytest.mark.parametrize(("task", "answer"), [("multirc", "10"), ("multirc", "1012"), ("multirc", "120")])
def test_an_answer_of_another_length_or_alphabet_is_invalid(tmp_path: Path, task: str, answer: str) -> None:
    """The first question has three candidates."""
    assert not get_task(task).valid(answer, read(task, tmp_path, ROWS[task])[0])


@pytest.mark.parametrize(
    ("answer", "valid"), [("0", True), ("1", True), ("", True), ("2", False), ("-1", False), ("²", False)]
)
def test_a_position_of_record_lies_among_its_candidates(tmp_path: Path, answer: str, valid: bool) -> None:
    """Two candidates, or no answer at all; digits of other kinds are no position."""
    assert get_task("record").valid(answer, read("record", tmp_path, RECORD)[0]) == valid


def test_the_highest_score_of_a_request_wins_and_the_first_of_equals() -> None:
    """Three requests of two, three and one candidates."""
    scores = np.array([[1.0], [1.0], [-3.0], [-1.0], [-2.0], [0.0]], dtype=np.float32)
    assert get_task("record").decide(scores, np.array([0, 2, 5, 6])) == ["0", "1", "0"]


def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    """JSON can write one, and no tokenizer can read it: the line is named before anything is measured."""
    path = tmp_path / "val.jsonl"
    path.write_text(json.dumps({**COPA, "premise": "The jar \ud83d fell."}) + "\n")
    with pytest.raises(DataError, match="half a character"):
        get_task("copa").read(path, labelled=True)
    path.write_text(json.dumps({**COPA, "premise": "The jar \U0001f3fa fell."}) + "\n")
    assert get_task("copa").read(path, labelled=True)
