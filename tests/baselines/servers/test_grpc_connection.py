from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grpc_servers import Answer, GrpcServer, grpc_oip, grpc_serving, labelled, packed
from model_servers import CERTIFICATE

from baselines.servers import grpc_connection as module
from baselines.servers.connection import Address
from baselines.servers.grpc_connection import GrpcConnection
from baselines.servers.protocols.oip_grpc import INFER, ModelAddress, is_grpc_ready
from baselines.servers.protocols.oip_messages import message
from baselines.servers.system import ServedSystem
from baselines.servers.variant import ServerVariant
from harness.common.errors import MeasurementError
from harness.systems.interface import Artifact, Placement, Settings
from harness.systems.server import ServerDefinition
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput

grpc = pytest.importorskip("grpc", reason="the extra grpc is not installed")

RTE = get_task("rte")
PLACEMENT = Placement("cpu", (0,), 1)


def examples(count: int) -> list[Example]:
    """Make pairs; the last character of the first text decides on the label."""
    return [Example(str(n), (TextInput(f"premise {n % 2}", "hypothesis"),)) for n in range(count)]


def by_premise(first: str, second: str) -> str:
    assert second == "hypothesis"
    return RTE.labels[int(first[-1])]


@contextmanager
def system_of(
    answers: dict[str, Answer], *, batch: int = 1, timeout_s: float = 20.0, **fields: Any
) -> Iterator[tuple[ServedSystem, GrpcServer]]:
    with grpc_serving(answers) as server:
        definition = ServerDefinition("mine", server.url(), protocol="oip-grpc", **fields)
        variant = ServerVariant(definition, timeout_s=timeout_s)
        system = variant.load(RTE, Artifact(Path(), "", {}), PLACEMENT, Settings(batch=batch))
        try:
            yield system, server
        finally:
            system.close()


def refusing(code: str, details: str) -> Answer:
    def answer(_: bytes, context: Any) -> bytes:
        context.abort(getattr(grpc.StatusCode, code), details)
        raise AssertionError

    return answer


def test_a_server_answers_over_grpc_with_the_labels_of_the_task() -> None:
    """One by one and several in a request; it is what its metadata say."""
    for batch in (1, 4):
        with system_of(grpc_oip(by_premise), batch=batch, connections=3) as (system, server):
            predictions = system.predict(system.encode(examples(9)))
            assert RTE.decide(predictions.logits, predictions.offsets) == [
                RTE.labels[n % 2] for n in range(9)
            ]
            facts = system.describe()
            calls = [name for name, _, _ in server.calls].count("ModelInfer")
        assert (facts["server"], facts["server_version"], facts["protocol"]) == ("test", "1.2", "oip-grpc")
        assert (facts["served_model"], facts["tls"]) == ("m", False)
        assert calls == (9 if batch == 1 else 3)


def test_traffic_is_that_of_messages_and_each_connection_is_one() -> None:
    """Five bytes before each message; what is inside of HTTP/2 the library does not tell."""
    with system_of(grpc_oip(by_premise), connections=2) as (system, server):
        system.refresh()
        system.traffic()
        system.predict(system.encode(examples(1)))
        traffic = system.traffic()
        sent = next(body for name, body, _ in server.calls if name == "ModelInfer")
        peers = len(server.peers)
    assert traffic["sent_bytes"] == len(sent) + 5
    assert traffic["received_bytes"] == len(labelled(RTE.labels[0])) + 5
    assert (traffic["first_byte_ns"], traffic["opened"], traffic["resent"]) == (None, 0, 0)
    assert peers == 3  # one for the metadata, which was closed, and two


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (refusing("INTERNAL", "out of memory"), "it answered INTERNAL: out of memory"),
        (refusing("UNAUTHENTICATED", "who?"), "it answered UNAUTHENTICATED: who?"),
        (refusing("UNAVAILABLE", "going away"), "no connection to it (going away)"),
        (lambda *_: b"\xff\xff\xff", "not a message ModelInferResponse"),
        (lambda *_: labelled("perhaps"), "the label 'perhaps'"),
        (lambda *_: labelled("entailment", "entailment"), "expected 1 labels, got 2"),
        (lambda *_: packed("ModelInferResponse", model_name="m"), "expected one output"),
        (lambda *_: bytes(2**24 + 9), "its answer is longer than 16,777,216 bytes"),
        (lambda *_: 1 / 0, "it answered UNKNOWN"),
    ],
)
def test_a_bad_answer_is_an_error_with_what_the_server_said(changed: Answer, message: str) -> None:
    """The connection is closed, and the next request opens it."""
    with (
        system_of(grpc_oip(by_premise, ModelInfer=changed)) as (system, _),
        pytest.raises(MeasurementError) as caught,
    ):
        system.predict(system.encode(examples(1)))
    assert message in str(caught.value)


def test_an_answer_that_does_not_come_is_given_up() -> None:
    """After the time that an exchange may take."""
    holder: list[GrpcServer] = []

    def hang(*_: object) -> bytes:
        holder[0].ended.wait()
        return b""

    with system_of(grpc_oip(by_premise, ModelInfer=hang), timeout_s=0.5) as (system, server):
        holder.append(server)
        with pytest.raises(MeasurementError, match=r"it did not answer within 0\.5 s"):
            system.predict(system.encode(examples(1)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ModelMetadata": refusing("NOT_FOUND", "no model m")}, "it answered NOT_FOUND: no model m"),
        ({"ServerMetadata": lambda *_: b"\xff"}, "its answer to ServerMetadata is not a message"),
        ({"ModelMetadata": lambda *_: packed("ModelMetadataResponse")}, "its metadata do not fit"),
    ],
)
def test_a_model_that_is_not_there_or_takes_no_texts_is_refused(
    changed: dict[str, Answer], message: str
) -> None:
    """Before anything is measured."""
    with pytest.raises(MeasurementError) as caught, system_of(grpc_oip(by_premise, **changed)):
        pass
    assert message in str(caught.value)


def connected(url: str, timeout_s: float = 20.0, token: str = "") -> GrpcConnection:
    return GrpcConnection(Address.of(url, token), "mine", timeout_s)


def test_another_service_is_told_from_a_server_of_the_protocol() -> None:
    """It has no such method."""
    with grpc_serving({}) as server, closing(connected(server.url())) as client:
        with pytest.raises(MeasurementError, match="it answered UNIMPLEMENTED") as caught:
            is_grpc_ready(client, ModelAddress("m"))
        client.refresh()  # it answers, so the connection is there
    assert "over gRPC" in str(caught.value.remedy)


@pytest.mark.parametrize(("server", "model"), [(True, True), (False, True), (True, False)])
def test_a_server_is_ready_when_it_and_the_model_say_so(*, server: bool, model: bool) -> None:
    """Both."""
    answers = grpc_oip(
        by_premise,
        ServerReady=lambda *_: packed("ServerReadyResponse", ready=server),
        ModelReady=lambda *_: packed("ModelReadyResponse", ready=model),
    )
    with grpc_serving(answers) as running, closing(connected(running.url())) as client:
        assert is_grpc_ready(client, ModelAddress("m")) is (server and model)


def test_nobody_listening_is_an_error_with_a_remedy() -> None:
    """At the first call, and where the connection is opened again."""
    with grpc_serving({}) as server:
        url = server.url()
    with closing(connected(url)) as client:
        for attempt in (lambda: client.exchange("POST", INFER), client.refresh):
            with pytest.raises(MeasurementError, match="no connection to it") as caught:
                attempt()
            assert "Start it" in str(caught.value.remedy)


def test_a_connection_that_was_idle_for_long_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the clock starts, as over HTTP."""
    now = 1000.0
    monkeypatch.setattr(module, "Monotonic", lambda: now)
    with grpc_serving(grpc_oip(by_premise)) as server, closing(connected(server.url())) as client:
        for wait_s in (0.0, 0.5, 1.5):
            now += wait_s
            client.refresh()
        assert client.traffic.opened == 2
        assert len(server.peers) == 2


def test_a_token_is_sent_and_never_quoted() -> None:
    """Also where the server sends it back."""

    def echo(_: bytes, context: Any) -> bytes:
        token = dict(context.invocation_metadata())["authorization"]
        context.abort(grpc.StatusCode.PERMISSION_DENIED, token)
        raise AssertionError

    with (
        grpc_serving({"ModelInfer": echo}) as server,
        closing(connected(server.url(), token="s3cret")) as client,
        pytest.raises(MeasurementError, match=r"PERMISSION_DENIED: Bearer \*\*\*") as caught,
    ):
        client.exchange("POST", INFER)
    assert "s3cret" not in f"{caught.value} {caught.value.remedy}"


def test_a_certificate_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not trusted, and one that is of another host."""
    with grpc_serving(grpc_oip(by_premise), tls=True) as server:
        url = server.url().replace("grpc:", "grpcs:")
        for trusted in ("", str(CERTIFICATE)):
            monkeypatch.setenv("SSL_CERT_FILE", trusted)
            with closing(connected(url, 10.0)) as client, pytest.raises(MeasurementError, match="the server"):
                client.exchange("POST", INFER)
        assert server.calls == []


def test_a_request_holds_all_texts_of_a_call() -> None:
    """More than one message can hold by default is no limit of ours."""
    long = message("ModelInferRequest", model_name="x" * 5_000_000).SerializeToString()
    with (
        grpc_serving({"ModelInfer": lambda body, _: str(len(body)).encode()}) as server,
        closing(connected(server.url())) as client,
    ):
        assert client.exchange("POST", INFER, long) == str(len(long)).encode()
        assert replace(client.traffic, received_bytes=0).sent_bytes == len(long) + 5
