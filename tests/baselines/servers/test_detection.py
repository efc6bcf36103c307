from contextlib import closing

import pytest
from model_servers import Incoming, http, oip, ok, serving

from baselines.servers.connection import Address, ServerConnection
from baselines.servers.detection import _FINDERS, ServerFacts, find_facts
from harness.common.errors import MeasurementError
from harness.systems.server import GRPC, PROTOCOLS, ServerDefinition

TEI = {
    "/info": {"model_id": "BAAI/x", "model_type": {"classifier": {"id2label": {"0": "a"}}}, "version": "1.8"}
}
INFINITY = {"/models": {"data": [{"id": "rte", "owned_by": "infinity", "stats": {}}]}}
VLLM = {"/v1/models": {"data": [{"id": "rte", "owned_by": "vllm"}]}, "/version": {"version": "0.11"}}


def found(pages: dict[str, object] | None, path: str, **fields: str) -> ServerFacts:
    """Find the facts of a server with these pages; without any, of one of the Open Inference Protocol."""

    def respond(request: Incoming) -> bytes:
        assert pages is not None
        return ok(pages[request.path], "Server: uvicorn") if request.path in pages else http(404, b"no")

    with serving(respond if pages is not None else oip(lambda *_: "a")) as server:
        definition = ServerDefinition("mine", server.url(path), **fields)  # type: ignore[arg-type]
        with closing(ServerConnection(Address.of(server.url(path)), "mine", 20.0)) as connection:
            return find_facts(definition, path, connection)


@pytest.mark.parametrize(
    ("pages", "path", "expected"),
    [
        (None, "/v2/models/m/infer", ("/v2/models/m/infer", "oip", "test", "1.2", "m")),
        (None, "/v2/models/m", ("/v2/models/m/infer", "oip", "test", "1.2", "m")),
        (TEI, "/predict", ("/predict", "tei", "text-embeddings-inference", "1.8", "BAAI/x")),
        (TEI, "/", ("/predict", "tei", "text-embeddings-inference", "1.8", "BAAI/x")),
        (INFINITY, "/classify", ("/classify", "infinity", "infinity", "", "rte")),
        (VLLM, "/classify", ("/classify", "openai", "vllm", "0.11", "rte")),
        (VLLM, "/v1/classify", ("/v1/classify", "openai", "vllm", "0.11", "rte")),
        (VLLM, "/score", ("/score", "openai", "vllm", "0.11", "rte")),
    ],
)
def test_a_server_is_what_its_metadata_show(
    pages: dict[str, object] | None, path: str, expected: tuple[str, ...]
) -> None:
    """Protocol, name, version and model, and the path that requests go to."""
    facts = found(pages, path)
    assert (facts.path, facts.protocol.name, facts.server, facts.version, facts.model) == expected


def test_a_protocol_that_was_named_is_not_looked_for() -> None:
    """A gateway may hide the metadata; the header names what answers."""
    facts = found({}, "/predict", protocol="tei")
    assert (facts.path, facts.protocol.name) == ("/predict", "tei")
    with pytest.raises(MeasurementError, match="do not show which protocol"):
        found({}, "/classify", protocol="infinity")


@pytest.mark.parametrize(
    ("pages", "path", "protocol", "message"),
    [
        ({}, "/predict", "", "do not show which protocol"),
        ({"/info": "not an object"}, "/predict", "", "do not show which protocol"),
        ({}, "/v2/models/m/infer", "", "it has no model m"),
        ({}, "/predict", "oip", "the URL must end in /v2/models/NAME/infer"),
        ({"/v2/models/m": {"inputs": []}}, "/v2/models/m", "", "got none"),
    ],
)
def test_a_server_that_is_not_known_is_refused_with_the_protocols(
    pages: dict[str, object], path: str, protocol: str, message: str
) -> None:
    """Nothing is guessed."""
    with pytest.raises(MeasurementError, match=message) as caught:
        found(pages, path, protocol=protocol)
    assert "--system-protocol oip, tei, infinity or openai" in str(caught.value.remedy)


def test_every_protocol_has_a_finder() -> None:
    """Those that the command line takes; gRPC has metadata of its own, and is known by its address."""
    assert {*_FINDERS, GRPC} == {"", *PROTOCOLS}
