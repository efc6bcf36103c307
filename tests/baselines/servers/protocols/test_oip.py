import json

import pytest

from baselines.servers.protocols.base import InvalidAnswer
from baselines.servers.protocols.oip import OpenInferenceProtocol, protocol_of
from harness.workload.tasks.example import TextInput

PAIR = OpenInferenceProtocol(("premise", "hypothesis"))
TEXTS = [TextInput("a", "b"), TextInput("c", "d")]


def output(datatype: str, data: object, name: str = "out") -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": [2], "data": data}


def test_texts_are_tensors_of_bytes_in_the_order_of_the_task() -> None:
    """As the protocol's specification writes them; a model of two dimensions gets a second one of 1."""
    assert json.loads(PAIR.body(TEXTS)) == {
        "inputs": [
            {"name": "premise", "shape": [2], "datatype": "BYTES", "data": ["a", "c"]},
            {"name": "hypothesis", "shape": [2], "datatype": "BYTES", "data": ["b", "d"]},
        ]
    }
    single = OpenInferenceProtocol(("text",), rank=2)
    assert json.loads(single.body([TextInput("a")]))["inputs"] == [
        {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["a"]}
    ]
    assert (PAIR.pairs, single.pairs) == (True, False)


def test_labels_are_names_numbers_or_the_highest_of_scores() -> None:
    """Nested by dimensions or flat; a runtime of MLServer writes a label as an object in a string."""
    assert PAIR.labels({"outputs": [output("BYTES", ["yes", "no"])]}, 2) == ["yes", "no"]
    assert PAIR.labels({"outputs": [output("BYTES", [["yes"], ["no"]])]}, 2) == ["yes", "no"]
    assert PAIR.labels({"outputs": [output("INT64", [1, 0])]}, 2) == [1, 0]
    assert PAIR.labels({"outputs": [output("FP32", [0.1, 0.9, 2.0, -1])]}, 2) == [1, 0]
    assert PAIR.labels({"outputs": [output("FP32", [[0.1, 0.9], [2.0, -1]])]}, 2) == [1, 0]
    written = '{"label": "yes", "score": 0.99}'
    assert PAIR.labels({"outputs": [output("BYTES", [written])]}, 1) == ["yes"]


def test_of_several_outputs_the_one_with_the_name_of_a_label_counts() -> None:
    """Or the only one of names; else nobody knows which it is."""
    scores, label = output("FP32", [0.1, 0.9], "scores"), output("INT64", [0], "label")
    assert PAIR.labels({"outputs": [scores, label]}, 1) == [0]
    assert PAIR.labels({"outputs": [scores, output("BYTES", ["yes"], "class")]}, 1) == ["yes"]
    with pytest.raises(InvalidAnswer, match="one that is called label, got scores, ids"):
        PAIR.labels({"outputs": [scores, output("INT64", [0], "ids")]}, 1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "expected a field 'outputs'"),
        ({"outputs": []}, "expected one output"),
        ({"outputs": [output("BYTES", ["yes"])]}, "expected 2 labels, got 1"),
        ({"outputs": [output("BYTES", ["yes", 3])]}, "expected the name of a label, got 3"),
        ({"outputs": [output("FP32", [0.1, 0.2, 0.3])]}, "a row of scores for each of 2 texts, got 3"),
        ({"outputs": [output("FP32", [0.1, None, 0.3, 1])]}, "finite number"),
        ({"outputs": [output("INT64", [1, True])]}, "expected the number of a label"),
        ({"outputs": [output("BOOL", [1, 0])]}, 'got the type "BOOL"'),
        ({"outputs": [output("BYTES", ["{", "no"])]}, "a label is not JSON"),
        ({"outputs": "yes"}, "expected a list of outputs"),
    ],
)
def test_answers_of_another_form_are_refused(answer: object, message: str) -> None:
    """Too few, of another type, not numbers."""
    with pytest.raises(InvalidAnswer, match=message):
        PAIR.labels(answer, 2)


def tensor(name: str, kind: str = "BYTES", shape: object = (-1,)) -> dict[str, object]:
    return {"name": name, "datatype": kind, "shape": list(shape) if isinstance(shape, tuple) else shape}


def test_metadata_tell_which_tensor_holds_which_text() -> None:
    """By name, whatever their order; a lone one takes single texts under any name."""
    assert protocol_of({"inputs": [tensor("Hypothesis"), tensor("Premise")]}).inputs == (
        "Premise",
        "Hypothesis",
    )
    alone = protocol_of({"inputs": [tensor("array_inputs", shape=(-1, 1))]})
    assert (alone.inputs, alone.rank) == (("array_inputs",), 2)


def test_a_graph_that_names_no_types_takes_texts() -> None:
    """As OpenVINO Model Server describes graphs of Python nodes."""
    inputs = [{"name": name, "datatype": "INVALID", "shape": []} for name in ("second", "first")]
    graph = protocol_of({"inputs": inputs})
    assert (graph.inputs, graph.rank) == (("first", "second"), 1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            [tensor("input_ids", "INT64"), tensor("attention_mask", "INT64")],
            "got input_ids (INT64), attention",
        ),
        ([tensor("a"), tensor("b")], "which of them holds the first text is not known"),
        ([], "expected inputs of type BYTES for texts, got none"),
        ([tensor("text", shape=(-1, 1, 1))], "of shape [texts] or [texts, 1], got [-1, 1, 1]"),
        ([{"name": "text"}], "expected a field 'datatype'"),
    ],
)
def test_a_model_that_takes_no_texts_is_refused(inputs: list[object], message: str) -> None:
    """Its ids would need a tokenizer that nobody named."""
    with pytest.raises(InvalidAnswer) as caught:
        protocol_of({"inputs": inputs})
    assert message in str(caught.value)
