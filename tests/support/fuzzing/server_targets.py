"""Readers of what model servers send: HTTP, metadata, and answers of every protocol; and of templates."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from baselines.servers.connection import Address, ServerConnection
from baselines.servers.detection import find_facts
from baselines.servers.grpc_connection import GrpcConnection
from baselines.servers.labels import LabelColumns
from baselines.servers.protocols.base import InvalidAnswer, ServerProtocol
from baselines.servers.protocols.oip import OpenInferenceProtocol
from baselines.servers.protocols.oip_grpc import GrpcInferenceProtocol, ModelAddress
from baselines.servers.protocols.oip_messages import message
from baselines.servers.protocols.others import InfinityProtocol, OpenAiProtocol, ScoreProtocol, TeiProtocol
from baselines.servers.protocols.template import template_protocol
from fuzzing.target import Target
from harness.common.errors import MeasurementError
from harness.common.inputs.files import InvalidText
from harness.common.inputs.json_text import parse_json_object
from harness.measurement.energy.external.exporter import ExporterMeter
from harness.measurement.energy.external.remote import RemoteError, RemoteMeter
from harness.runs.planning.servers import ServerArguments, parse_servers
from harness.systems.server import ServerDefinition

_LABELS = LabelColumns(
    ("false", "true"), {"LABEL_0": "true", "0": "true", "1": "false", "score_0": "false", "score_1": "true"}
)
_SCORES = [{"label": "true", "score": 0.9}, {"label": "false", "score": 0.1}]
_OUTPUT = {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["true", "LABEL_0"]}
_NUMBERS = {"name": "out", "datatype": "FP32", "shape": [2, 2], "data": [[0.1, 0.9], [0.8, 0.2]]}
_CLASSES = [
    {"index": 1, "label": "true", "probs": [0.1, 0.9]},
    {"index": 0, "label": None, "probs": [0.1, 0.9]},
]
_METADATA: Any = {
    "name": "m",
    "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1, 1]} for name in ("premise", "hypothesis")],
}
_GRPC = GrpcInferenceProtocol(ModelAddress("m"), OpenInferenceProtocol(("first", "second")))
_RAW_LABELS = b"".join(len(name).to_bytes(4, "little") + name for name in (b"true", b"false"))


def _grpc_answer(contents: dict[str, object] | None, kind: str, raw: bytes = b"") -> bytes:
    tensor = message("Tensor", name="label", datatype=kind, shape=[2])
    if contents:
        tensor.contents.MergeFrom(message("Contents", **contents))
    answer = message("ModelInferResponse", outputs=[tensor], raw_output_contents=[raw] if raw else [])
    return bytes(answer.SerializeToString())


_HEAD = b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 2\r\n\r\n{}"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
_TEMPLATE = b'request: {text: "{first}", pair: "{second}"}\nlabel: result.0.label\n'


_TENSORS = [message("Tensor", name=name, datatype="BYTES", shape=[-1]) for name in ("first", "second")]
_GRPC_METADATA = bytes(message("ModelMetadataResponse", name="m", inputs=_TENSORS).SerializeToString())
_ZONE = {
    "zone": {"name": "package-0", "scope": "package", "range_uj": 2**40},
    "traits": {"source": "RAPL", "update_ns": 1_000_000, "quantum_uj": 61.0, "ceiling_watts": 1000},
}
_METER: dict[str, object] = {"format": 1, "meter": "rapl", "machine": "0a1b2c3d", "zones": [_ZONE]}
_PAGE = b"""node_rapl_package_joules_total{index="0",path="/sys/class/powercap/intel-rapl:0"} 1.5e+03
kepler_node_cpu_joules_total{path="/sys/intel-rapl:0:1",zone="dram"} 7.25
"""
_SAMPLES: dict[str, object] = {"samples": [{"at_ns": 1, "microjoules": 7, "reason": None}]}


def server_targets() -> list[Target]:
    """Return the readers of what model servers send."""
    return [
        Target("HTTP of a server", [_HEAD, _CHUNKED], _http),
        Target("metadata of oip", [_json(_METADATA)], _metadata("/v2/models/m/infer")),
        Target("metadata of a server", [_json({"data": [{"id": "m"}]})], _metadata("/classify")),
        *(
            Target(f"answers of {type(protocol).__name__}", sound, _answers(protocol))
            for protocol, sound in _PROTOCOLS
        ),
        Target("templates of a server", [_TEMPLATE], _template),
        Target("metadata over gRPC", [_GRPC_METADATA], _grpc_metadata),
        Target("a meter on another machine", [_json({**_METER, **_SAMPLES})], _remote_meter),
        Target("an exporter's page", [_PAGE], _exporter),
    ]


def _json(*values: object) -> bytes:
    return b"\n".join(json.dumps(value).encode() for value in values)


_PROTOCOLS: list[tuple[ServerProtocol, list[bytes]]] = [
    (
        OpenInferenceProtocol(("first", "second")),
        [_json({"outputs": [_OUTPUT]}), _json({"outputs": [_NUMBERS]})],
    ),
    (
        _GRPC,
        [
            _grpc_answer({"bytes_contents": [b"true", b"LABEL_0"]}, "BYTES"),
            _grpc_answer({"fp32_contents": [0.1, 0.9, 0.8, 0.2]}, "FP32"),
            _grpc_answer(None, "BYTES", _RAW_LABELS),
            _grpc_answer(None, "INT64", bytes(16)),
        ],
    ),
    (TeiProtocol(), [_json([_SCORES, _SCORES])]),
    (InfinityProtocol("m"), [_json({"data": [_SCORES, _SCORES]})]),
    (OpenAiProtocol("m"), [_json({"data": _CLASSES})]),
    (ScoreProtocol("m"), [_json({"data": [{"index": 0, "score": 0.7}, {"index": 1, "score": 0.2}]})]),
    (
        template_protocol({"request": "{first}", "scores": "result.0"}),
        [_json({"result": [_SCORES]}), _json({"result": [{"true": 0.9}]})],
    ),
]


def _answers(protocol: ServerProtocol) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        del folder
        try:
            for label in protocol.labels(protocol.parse(content), 2):
                _LABELS.column(label)
        except (InvalidAnswer, InvalidText) as problem:
            raise MeasurementError(str(problem)) from None

    return read


class _Pages(ServerConnection):
    """A connection to a server all of whose pages are these bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(Address.of("http://127.0.0.1:1/"), "mine", 1.0)
        self._content = content

    def answer(self, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
        del method, path, body
        return 200, "", self._content


def _metadata(path: str) -> Callable[[Path, bytes], None]:
    def read(folder: Path, content: bytes) -> None:
        del folder
        find_facts(ServerDefinition("mine", f"http://127.0.0.1:1{path}"), path, _Pages(content))

    return read


def _http(folder: Path, content: bytes) -> None:
    """Answer a request with these bytes, and close."""
    del folder
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer, args=(listener, content))
        thread.start()
        client = ServerConnection(Address.of(f"http://127.0.0.1:{listener.getsockname()[1]}/"), "mine", 20.0)
        try:
            client.exchange("GET", "/")
        finally:
            client.close()
            thread.join()


def _answer(listener: socket.socket, content: bytes) -> None:
    connection, _ = listener.accept()
    try:
        with connection:
            connection.recv(2**16)
            connection.sendall(content)
    except OSError:  # the client has had enough
        return


def _template(folder: Path, content: bytes) -> None:
    path = folder / "template.yaml"
    path.write_bytes(content)
    (server,) = parse_servers(ServerArguments(urls=["http://127.0.0.1:1/x"], templates=[str(path)]))
    template_protocol(server.template)


class _Messages(GrpcConnection):
    """A connection to a server that answers these bytes to every call."""

    def __init__(self, content: bytes) -> None:
        super().__init__(Address.of("grpc://127.0.0.1:1/m"), "mine", 1.0)
        self._content = content

    def exchange(self, method: str, path: str, body: bytes = b"") -> bytes:
        del method, path, body
        return self._content


def _grpc_metadata(folder: Path, content: bytes) -> None:
    del folder
    find_facts(ServerDefinition("mine", "grpc://127.0.0.1:1/m"), "/m", _Messages(content))


def _remote_meter(folder: Path, content: bytes) -> None:
    """Open a meter whose agent answers these bytes to everything, and read a window."""
    del folder

    def fetch(_: str) -> dict[str, Any]:
        try:
            return parse_json_object(content)
        except InvalidText as problem:
            raise RemoteError(str(problem)) from None

    try:
        meter = RemoteMeter(fetch)
    except RemoteError as problem:
        raise MeasurementError(str(problem)) from None
    meter.read(meter.start())


def _exporter(folder: Path, content: bytes) -> None:
    del folder
    try:
        meter = ExporterMeter(lambda: content.decode("utf-8", "replace"), "m")
    except RemoteError as problem:
        raise MeasurementError(str(problem)) from None
    meter.read(meter.start())
