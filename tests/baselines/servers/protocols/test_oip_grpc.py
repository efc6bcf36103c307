import struct
from typing import Any

import numpy as np
import pytest

from baselines.servers.protocols.base import InvalidAnswer
from baselines.servers.protocols.oip import OpenInferenceProtocol
from baselines.servers.protocols.oip_grpc import GrpcInferenceProtocol, ModelAddress
from baselines.servers.protocols.oip_messages import message, read_message
from harness.common.errors import UnsupportedError, UsageError
from harness.common.inputs.files import InvalidText
from harness.workload.tasks.example import TextInput

PAIRS = GrpcInferenceProtocol(ModelAddress("m", "2"), OpenInferenceProtocol(("premise", "hypothesis"), 2))


def answer(kind: str, contents: dict[str, Any] | None = None, raw: bytes | None = None) -> bytes:
    """Return an answer with one tensor for two texts, in its contents or raw."""
    tensor = message("Tensor", name="out", datatype=kind, shape=[2])
    if contents:
        tensor.contents.MergeFrom(message("Contents", **contents))
    response = message(
        "ModelInferResponse", outputs=[tensor], raw_output_contents=[] if raw is None else [raw]
    )
    return bytes(response.SerializeToString())


def labels(content: bytes) -> list[str | int]:
    return PAIRS.labels(PAIRS.parse(content), 2)


def behind_lengths(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def test_texts_are_tensors_of_bytes_in_the_order_of_the_task() -> None:
    """In UTF-8, with the dimensions that the model has."""
    request = read_message("ModelInferRequest", PAIRS.body([TextInput("é", "b"), TextInput("c", None)]))
    assert (request.model_name, request.model_version) == ("m", "2")
    found = [
        (one.name, one.datatype, list(one.shape), list(one.contents.bytes_contents)) for one in request.inputs
    ]
    assert found == [
        ("premise", "BYTES", [2, 1], ["é".encode(), b"c"]),
        ("hypothesis", "BYTES", [2, 1], [b"b", b""]),
    ]
    with pytest.raises(UnsupportedError, match="half of a character"):
        PAIRS.body([TextInput("\ud800", "b")])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (answer("BYTES", {"bytes_contents": [b"yes", "é".encode()]}), ["yes", "é"]),
        (answer("BYTES", raw=behind_lengths(b"yes", b"")), ["yes", ""]),
        (answer("INT64", {"int64_contents": [1, 0]}), [1, 0]),
        (answer("INT32", {"int_contents": [1, 0]}), [1, 0]),
        (answer("UINT8", {"uint_contents": [1, 0]}), [1, 0]),
        (answer("INT16", raw=np.array([1, 0], "<i2").tobytes()), [1, 0]),
        (answer("FP32", {"fp32_contents": [0.1, 0.9, 0.8, 0.2]}), [1, 0]),
        (answer("FP64", {"fp64_contents": [0.1, 0.9, 0.8, 0.2]}), [1, 0]),
        (answer("FP16", raw=np.array([1, 2, 4, 3], "<f2").tobytes()), [1, 0]),
        # 1.0, 2.0, 4.0 and 3.0: the upper halves of their float32
        (answer("BF16", raw=np.array([0x3F80, 0x4000, 0x4080, 0x4040], "<u2").tobytes()), [1, 0]),
    ],
)
def test_labels_are_read_from_contents_and_from_raw_bytes(content: bytes, expected: list[str | int]) -> None:
    """Names, numbers, or the column of the highest score."""
    assert labels(content) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xff\xff", "not a message ModelInferResponse"),
        (answer("BYTES", raw=b"\x09\0\0\0yes"), "shorter than its length says"),
        (answer("BYTES", raw=b"\x09\0"), "a raw text has no length"),
        (answer("BYTES", {"bytes_contents": [b"\xff", b"a"]}), "not UTF-8"),
        (answer("FP32", raw=bytes(7)), "7 raw bytes are no elements of type FP32"),
        (answer("BYTES", {"bytes_contents": [b"yes"]}), "expected 2 labels, got 1"),
        (answer("FP32", {"fp32_contents": [float("nan")] * 4}), "expected a finite number"),
        (answer("BOOL", {"bool_contents": [True, False]}), 'got the type "BOOL"'),
        (b"", "expected one output"),
    ],
)
def test_answers_of_another_form_are_refused(content: bytes, message: str) -> None:
    """Whatever the bytes are."""
    with pytest.raises((InvalidAnswer, InvalidText)) as caught:
        labels(content)
    assert message in str(caught.value)


def test_raw_contents_are_those_of_the_tensors_in_order() -> None:
    """One for each of them, or none."""
    outputs = [message("Tensor", name=name, datatype="BYTES", shape=[2]) for name in ("other", "label")]
    raw = [behind_lengths(b"no", b"no"), behind_lengths(b"a", b"b")]
    fields: dict[str, Any] = {"outputs": outputs, "raw_output_contents": raw}
    assert labels(message("ModelInferResponse", **fields).SerializeToString()) == ["a", "b"]
    fields["raw_output_contents"] = raw[:1]
    with pytest.raises(InvalidText, match="1 raw contents are there for 2 tensors"):
        labels(message("ModelInferResponse", **fields).SerializeToString())


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/rte", ModelAddress("rte")),
        ("/rte/", ModelAddress("rte")),
        ("/rte/versions/2", ModelAddress("rte", "2")),
        ("/v2/models/rte/infer", ModelAddress("rte")),
        ("/v2/models/rte/versions/2/infer", ModelAddress("rte", "2")),
    ],
)
def test_a_path_names_the_model(path: str, model: ModelAddress) -> None:
    """As over HTTP, or in short."""
    assert ModelAddress.of(path) == model
    with pytest.raises(UsageError, match="must end in the model's name, /NAME, got '/'"):
        ModelAddress.of("/")
