"""The Open Inference Protocol over gRPC: the tensors of `oip`, as protocol buffers.

grpc://HOST:PORT/NAME    ServerMetadata, ModelMetadata, then ModelInfer for each request

Texts are sent as `bytes_contents`. Answers are read from the contents of a tensor, or from
`raw_output_contents`, which Triton and OpenVINO Model Server use.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.servers.protocols.base import ServerLabel
from baselines.servers.protocols.oip import OpenInferenceProtocol, protocol_of
from baselines.servers.protocols.oip_messages import message, read_message
from baselines.servers.transport import Transport
from harness.common.errors import UnsupportedError, UsageError
from harness.common.inputs.files import InvalidText
from harness.common.json_types import JsonValue
from harness.workload.tasks.example import TextInput

SERVICE = "/inference.GRPCInferenceService"
INFER = f"{SERVICE}/ModelInfer"

_MODEL = re.compile(r"/(?:v2/models/)?(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/infer)?/?")
_SHOWN = 80

_CONTENTS = {
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field that holds a tensor's elements, by its type."""

_RAW = {
    **{f"INT{size}": f"<i{size // 8}" for size in (8, 16, 32, 64)},
    **{f"UINT{size}": f"<u{size // 8}" for size in (8, 16, 32, 64)},
    **{f"FP{size}": f"<f{size // 8}" for size in (16, 32, 64)},
    "BF16": "<u2",
}
"""NumPy's types of raw elements: little endian."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """The model that an URL names; an empty version is the server's choice."""

    name: str
    version: str = ""

    @classmethod
    def of(cls, path: str) -> "ModelAddress":
        """Return the model of `/NAME`, or of the path that it has over HTTP; UsageError without one."""
        match = _MODEL.fullmatch(path)
        if match is None:
            raise UsageError(
                f"an URL of gRPC must end in the model's name, /NAME, got {path[:_SHOWN]!r}.",
                where="--system-url",
                remedy="As in grpc://127.0.0.1:8001/rte.",
            )
        return cls(match["name"], match["version"] or "")


@dataclass(frozen=True, slots=True)
class GrpcInferenceProtocol:
    """The protocol for one model; `tensors` are those that it has over HTTP."""

    model: ModelAddress
    tensors: OpenInferenceProtocol
    name: str = "oip-grpc"
    batches: bool = True

    @property
    def pairs(self) -> bool:
        """Whether the model has a tensor for the second texts."""
        return self.tensors.pairs

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request: a tensor for each of the model's inputs."""
        request = message("ModelInferRequest", model_name=self.model.name, model_version=self.model.version)
        for name, column in self.tensors.columns(texts):
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=self.tensors.shape(len(texts)))
            tensor.contents.bytes_contents.extend(map(_encoded, column))
        content: bytes = request.SerializeToString()
        return content

    def parse(self, content: bytes) -> JsonValue:
        """Return an answer as it would be over HTTP; InvalidText where it is none."""
        try:
            response = read_message("ModelInferResponse", content)
        except ValueError as problem:
            raise InvalidText(str(problem)) from None
        raw = list(response.raw_output_contents)
        if raw and len(raw) != len(response.outputs):
            raise InvalidText(f"{len(raw)} raw contents are there for {len(response.outputs)} tensors")
        contents = raw or [None] * len(response.outputs)
        return {"outputs": [_output(*pair) for pair in zip(response.outputs, contents, strict=True)]}

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the labels of the output that holds them."""
        return self.tensors.labels(content, count)


@dataclass(frozen=True, slots=True)
class GrpcFacts:
    """What a server says of itself and of a model."""

    protocol: GrpcInferenceProtocol
    server: str
    version: str


def grpc_facts(connection: Transport, model: ModelAddress) -> GrpcFacts:
    """Ask a server what it is, and what tensors the model has; InvalidAnswer where they are not texts."""
    server = _ask(connection, "ServerMetadata")
    metadata = _ask(connection, "ModelMetadata", name=model.name, version=model.version)
    tensors = protocol_of({"inputs": [_described(tensor) for tensor in metadata.inputs]})
    return GrpcFacts(GrpcInferenceProtocol(model, tensors), server.name[:_SHOWN], server.version[:_SHOWN])


def is_grpc_ready(connection: Transport, model: ModelAddress) -> bool:
    """Return whether server and model are ready by their own account; MeasurementError while none answers."""
    if not _ask(connection, "ServerReady").ready:
        return False
    return bool(_ask(connection, "ModelReady", name=model.name, version=model.version).ready)


def _ask(connection: Transport, call: str, **fields: str) -> Any:  # noqa: ANN401 -- a message
    """Return the answer to a call about the server or a model."""
    body = message(f"{call}Request", **fields).SerializeToString()
    content = connection.exchange("POST", f"{SERVICE}/{call}", body)
    try:
        return read_message(f"{call}Response", content)
    except ValueError as problem:
        raise connection.failure(f"its answer to {call} is {problem}") from None


def _described(tensor: Any) -> dict[str, JsonValue]:  # noqa: ANN401
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _output(tensor: Any, raw: bytes | None) -> dict[str, JsonValue]:  # noqa: ANN401
    kind = tensor.datatype
    if raw is not None:
        data = _raw_elements(kind, raw)
    else:  # a type without a field of its own is refused by its name
        data = list(getattr(tensor.contents, _CONTENTS[kind])) if kind in _CONTENTS else []
    return {**_described(tensor), "data": [_decoded(part) for part in data] if kind == "BYTES" else data}


def _raw_elements(kind: str, content: bytes) -> list[Any]:
    """Return the elements of a tensor from its raw content; InvalidText where they do not fit."""
    if kind == "BYTES":
        return _raw_bytes(content)
    try:
        elements = np.frombuffer(content, _RAW.get(kind, "<u1"))
    except ValueError:
        raise InvalidText(f"{len(content)} raw bytes are no elements of type {kind}") from None
    if kind == "BF16":  # the upper half of a float32
        elements = (elements.astype("<u4") << 16).view("<f4")
    return list(elements.tolist())


def _raw_bytes(content: bytes) -> list[bytes]:
    """Return byte strings, each of which is behind its length in four bytes."""
    parts, start = [], 0
    while start < len(content):
        if start + _LENGTH.size > len(content):
            raise InvalidText("a raw text has no length")
        (size,) = _LENGTH.unpack_from(content, start)
        start += _LENGTH.size + size
        if start > len(content):
            raise InvalidText("a raw text is shorter than its length says")
        parts.append(content[start - size : start])
    return parts


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidText("a label is not UTF-8") from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UnsupportedError(
            "a text holds half of a character, which JSON can express and gRPC cannot.",
            remedy="Measure the server over HTTP.",
        ) from None
