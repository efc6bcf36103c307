"""The Open Inference Protocol over HTTP: Triton, OpenVINO Model Server, MLServer, KServe, Ray Serve.

    {"id", "inputs": [{"name", "shape", "datatype": "BYTES", "data": [texts]}]}
    {"id", "outputs": [{"name", "shape", "datatype", "data": [names, columns or rows of scores]}]}

Texts are tensors of type BYTES. Their names come from the model's metadata: one tensor holds single texts,
two hold pairs, if their names tell first from second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.servers.protocols.base import (
    InvalidAnswer,
    JsonAnswers,
    ServerLabel,
    as_list,
    as_number,
    best_column,
    dump,
    field_of,
    shown,
)
from harness.common.inputs.files import InvalidText
from harness.common.inputs.json_text import parse_json
from harness.common.json_types import JsonObject, JsonValue
from harness.workload.tasks.example import TextInput

PAIRS = (
    ("first", "second"),
    ("text", "text_pair"),
    ("text_1", "text_2"),
    ("text1", "text2"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "passage"),
)
"""Names of two tensors, of which the first holds a task's first text."""

LABELS = ("label", "labels")
"""Names of the output that holds labels, where there are several outputs."""

_UNTYPED = "INVALID"
"""The type that OpenVINO Model Server gives the tensors of a graph, whose dimensions it leaves out, too."""

_COLUMNS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_SCORES = ("FP16", "FP32", "FP64", "BF16")


@dataclass(frozen=True, slots=True)
class OpenInferenceProtocol(JsonAnswers):
    """The protocol for one model: `inputs` are the names of one or two tensors, `rank` their dimensions."""

    inputs: tuple[str, ...]
    rank: int = 1
    name: str = "oip"
    batches: bool = True

    @property
    def pairs(self) -> bool:
        """Whether the model has a tensor for the second texts."""
        return len(self.inputs) > 1

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request: a tensor for each of the model's inputs."""
        shape = self.shape(len(texts))
        tensors = [
            {"name": name, "shape": shape, "datatype": "BYTES", "data": column}
            for name, column in self.columns(texts)
        ]
        return dump({"inputs": tensors})

    def columns(self, texts: Sequence[TextInput]) -> list[tuple[str, list[str]]]:
        """Return the texts of each tensor, by its name."""
        columns = [[text.first for text in texts], [text.second or "" for text in texts]]
        return list(zip(self.inputs, columns, strict=False))

    def shape(self, count: int) -> list[int]:
        """Return the dimensions of a tensor of `count` texts."""
        return [count] + [1] * (self.rank - 1)

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the labels of the output that holds them."""
        outputs = as_list(field_of(content, "outputs"), "outputs")
        output = _label_output(outputs)
        kind, data = field_of(output, "datatype"), _flat(field_of(output, "data"))
        if kind == "BYTES":
            return [_name(value) for value in as_list(data, "labels", count)]
        if kind in _COLUMNS:
            return [_column(value) for value in as_list(data, "labels", count)]
        if kind in _SCORES:
            return [best_column(row) for row in _rows(data, count)]
        raise InvalidAnswer(f"expected BYTES, integers or floats as labels, got the type {shown(kind)}")


def protocol_of(metadata: JsonValue) -> OpenInferenceProtocol:
    """Return the protocol for a model with this metadata; InvalidAnswer where its inputs are not texts."""
    tensors = [_tensor(tensor) for tensor in as_list(field_of(metadata, "inputs"), "inputs")]
    texts = [(name, rank) for name, kind, rank in tensors if kind in ("BYTES", _UNTYPED)]
    if len(texts) < len(tensors) or not texts:
        kinds = ", ".join(f"{name} ({kind})" for name, kind, _ in tensors) or "none"
        raise InvalidAnswer(f"expected inputs of type BYTES for texts, got {kinds}")
    names = tuple(name for name, _ in texts)
    if len(names) == 1:
        return OpenInferenceProtocol(names, texts[0][1])
    for pair in PAIRS:
        if sorted(name.lower() for name in names) == sorted(pair):
            by_name = {name.lower(): name for name in names}
            return OpenInferenceProtocol(tuple(by_name[name] for name in pair), texts[0][1])
    raise InvalidAnswer(
        f"its inputs are {', '.join(names)}, and which of them holds the first text is not known: "
        f"name them {' and '.join(PAIRS[0])}"
    )


def _tensor(tensor: JsonValue) -> tuple[str, JsonValue, int]:
    """Return name, type and number of dimensions of a tensor of the metadata."""
    shape = (tensor.get("shape") if isinstance(tensor, dict) else None) or [-1]
    rank = len(as_list(shape, "dimensions"))
    if not 1 <= rank <= 2:  # noqa: PLR2004 -- [texts], or [texts, 1]
        raise InvalidAnswer(f"expected an input of shape [texts] or [texts, 1], got {shown(shape)}")
    return str(field_of(tensor, "name")), field_of(tensor, "datatype"), rank


def _label_output(outputs: Sequence[JsonValue]) -> JsonValue:
    """Return the only output, the only one with the name of a label, or the only one of type BYTES."""
    named = [output for output in outputs if isinstance(output, Mapping)]
    for candidates in (
        outputs,
        [output for output in named if str(output.get("name")).lower() in LABELS],
        [output for output in named if output.get("datatype") == "BYTES"],
    ):
        if len(candidates) == 1:
            return candidates[0]
    names = ", ".join(str(output.get("name")) for output in named) or "none"
    raise InvalidAnswer(f"expected one output, or one that is called label, got {names[:200]}")


def _flat(data: JsonValue) -> list[Any]:
    """Return the elements of a tensor, which may be nested by its dimensions."""
    elements = as_list(data, "elements")
    while elements and all(isinstance(element, list) for element in elements):
        elements = [inner for element in elements for inner in element]
    return elements


def _rows(data: list[Any], count: int) -> list[list[float]]:
    """Cut scores into `count` rows of equal length."""
    numbers = [as_number(value) for value in data]
    width, left = divmod(len(numbers), max(1, count))
    if left or not width:
        raise InvalidAnswer(f"expected a row of scores for each of {count} texts, got {len(numbers)} scores")
    return [numbers[start : start + width] for start in range(0, len(numbers), width)]


def _name(value: JsonValue) -> str:
    """Return a label's name; MLServer's runtime for Hugging Face writes it as an object in a string."""
    if not isinstance(value, str):
        raise InvalidAnswer(f"expected the name of a label, got {shown(value)}")
    if not value.startswith("{"):
        return value
    try:
        fields: JsonObject | JsonValue = parse_json(value)
    except InvalidText as problem:
        raise InvalidAnswer(f"a label is {problem}") from None
    return str(field_of(fields, "label"))


def _column(value: JsonValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidAnswer(f"expected the number of a label, got {shown(value)}")
    return value
