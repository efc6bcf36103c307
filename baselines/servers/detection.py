"""What a server is: its name, version and model from its metadata, and the protocol that it answers in.

GET /v2, /v2/models/NAME      Open Inference Protocol; over gRPC: ServerMetadata, ModelMetadata
GET /info                     text-embeddings-inference
GET /models, /v1/models       Infinity, vLLM and what is like it
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from baselines.servers.connection import ServerConnection
from baselines.servers.grpc_connection import GrpcConnection
from baselines.servers.protocols import oip
from baselines.servers.protocols.base import InvalidAnswer, ServerProtocol, field_of
from baselines.servers.protocols.oip_grpc import INFER, ModelAddress, grpc_facts
from baselines.servers.protocols.others import (
    InfinityProtocol,
    OpenAiProtocol,
    ScoreProtocol,
    TeiProtocol,
)
from baselines.servers.protocols.template import template_protocol
from harness.common.inputs.files import InvalidText
from harness.common.inputs.json_text import parse_json
from harness.common.json_types import JsonValue
from harness.systems.server import ServerDefinition

_MODEL = re.compile(r"(?P<prefix>.*)/v2/models/(?P<model>[^/]+(?:/versions/[^/]+)?)(?:/infer)?/?")
_SHOWN = 80

Get = Callable[[str], JsonValue]
"""Returns the JSON under a path; None where there is none."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The path that requests go to, the protocol, and what the server is by its own account."""

    path: str
    protocol: ServerProtocol
    server: str = ""
    version: str = ""
    model: str = ""


def find_facts(
    definition: ServerDefinition, path: str, connection: ServerConnection | GrpcConnection
) -> ServerFacts:
    """Ask a server what it is; MeasurementError where its protocol is not the one named, or not known."""
    if isinstance(connection, GrpcConnection):
        return _oip_grpc(definition, path, connection)

    def get(place: str) -> JsonValue:
        return _metadata(connection, place)

    try:
        facts = _FINDERS[definition.protocol](definition, path, get)
    except InvalidAnswer as problem:
        raise connection.failure(f"its metadata do not fit: {problem}", _REMEDY) from None
    if facts is None:
        raise connection.failure("its metadata do not show which protocol it answers in", _REMEDY)
    return facts if facts.server else replace(facts, server=connection.server)


_REMEDY = (
    "Name it: --system-protocol oip, tei, infinity or openai; --system-template describes any other "
    "(docs/howto/servers.md)."
)


def _metadata(connection: ServerConnection, place: str) -> JsonValue:
    """Return the JSON under a path; None where the server has none there."""
    status, _, content = connection.answer("GET", place)
    if status != 200:  # noqa: PLR2004 -- HTTP's OK
        return None
    try:
        return parse_json(content, lenient=True)
    except InvalidText:
        return None


def _oip(definition: ServerDefinition, path: str, get: Get) -> ServerFacts | None:
    match = _MODEL.fullmatch(path)
    if match is None:
        raise InvalidAnswer(f"the URL must end in /v2/models/NAME/infer, got {path[:_SHOWN]}")
    prefix, model = match["prefix"], match["model"]
    server = get(f"{prefix}/v2") or {}
    metadata = get(f"{prefix}/v2/models/{model}")
    if metadata is None:
        raise InvalidAnswer(f"it has no model {model[:_SHOWN]}")
    protocol = oip.protocol_of(metadata)
    _check_separator(definition, protocol)
    return ServerFacts(
        f"{prefix}/v2/models/{model}/infer",
        protocol,
        _text(server, "name"),
        _text(server, "version"),
        model,
    )


def _oip_grpc(definition: ServerDefinition, path: str, connection: GrpcConnection) -> ServerFacts:
    model = ModelAddress.of(path)
    try:
        facts = grpc_facts(connection, model)
        _check_separator(definition, facts.protocol.tensors)
    except InvalidAnswer as problem:
        raise connection.failure(f"its metadata do not fit: {problem}") from None
    return ServerFacts(INFER, facts.protocol, facts.server, facts.version, model.name)


def _check_separator(definition: ServerDefinition, protocol: oip.OpenInferenceProtocol) -> None:
    if protocol.pairs and definition.separator:
        raise InvalidAnswer("the model takes pairs, and --system-separator joins them")


def _tei(definition: ServerDefinition, path: str, get: Get) -> ServerFacts | None:
    prefix, _, last = path.rpartition("/")
    info = get(f"{prefix}/info")
    if not isinstance(info, dict) or "model_type" not in info:
        return ServerFacts(path, TeiProtocol()) if definition.protocol else None
    route = path if last else f"{prefix}/predict"
    return ServerFacts(
        route, TeiProtocol(), "text-embeddings-inference", _text(info, "version"), _text(info, "model_id")
    )


def _infinity(definition: ServerDefinition, path: str, get: Get) -> ServerFacts | None:
    del definition
    prefix, _, last = path.rpartition("/")
    model = _first_model(get(f"{prefix}/models"))
    if model is None or model.get("owned_by") != "infinity":
        return None
    route, name = path if last else f"{prefix}/classify", _text(model, "id")
    return ServerFacts(route, InfinityProtocol(name), "infinity", "", name)


def _openai(definition: ServerDefinition, path: str, get: Get) -> ServerFacts | None:
    del definition
    prefix, _, last = path.rpartition("/")
    prefix = prefix.removesuffix("/v1")
    model = _first_model(get(f"{prefix}/v1/models"))
    if model is None:
        return None
    owner, version = _text(model, "owned_by"), get(f"{prefix}/version") or {}
    route, name = path if last else f"{prefix}/classify", _text(model, "id")
    protocol = ScoreProtocol(name) if last == "score" else OpenAiProtocol(name)
    return ServerFacts(route, protocol, owner, _text(version, "version"), name)


def _template(definition: ServerDefinition, path: str, get: Get) -> ServerFacts | None:
    protocol = template_protocol(definition.template)
    get(path.rpartition("/")[0] + "/health")  # shows what the server calls itself, if it does
    return ServerFacts(path, protocol)


def _any(definition: ServerDefinition, path: str, get: Get) -> ServerFacts | None:
    """Find the protocol from the path, or else from what the metadata hold."""
    if definition.template:
        return _template(definition, path, get)
    if _MODEL.fullmatch(path):
        return _oip(definition, path, get)
    return next(
        (facts for finder in (_tei, _infinity, _openai) if (facts := finder(definition, path, get))), None
    )


_FINDERS: dict[str, Callable[[ServerDefinition, str, Get], ServerFacts | None]] = {
    "": _any,
    "oip": _oip,
    "tei": _tei,
    "infinity": _infinity,
    "openai": _openai,
    "json": _template,
}


def _first_model(models: JsonValue) -> "dict[str, JsonValue] | None":
    """Return the first model of a list, or the only one, as Infinity has it."""
    data = models.get("data") if isinstance(models, dict) else None
    if isinstance(data, list):
        data = data[0] if data else None
    return data if isinstance(data, dict) and "id" in data else None


def _text(facts: JsonValue, name: str) -> str:
    value = field_of(facts, name) if isinstance(facts, dict) and name in facts else ""
    return str(value)[:_SHOWN]
