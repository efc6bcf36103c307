import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from model_servers import Fault, Incoming, ModelServer, Respond, http, oip, ok, serving

from baselines.servers.system import ServedSystem
from baselines.servers.variant import ServerVariant
from harness.common.errors import MeasurementError, UnsupportedError
from harness.systems.interface import Artifact, AsyncSystem, NetworkSystem, Placement, Predictions, Settings
from harness.systems.server import ServerDefinition
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput

RTE = get_task("rte")
PLACEMENT = Placement("cpu", (0,), 1)


def examples(count: int) -> list[Example]:
    """Make pairs; the last character of the first text decides on the label."""
    return [
        Example(str(number), (TextInput(f"premise {number % 2}", "hypothesis"),)) for number in range(count)
    ]


def by_premise(first: str, second: str) -> str:
    assert second == "hypothesis"
    return RTE.labels[int(first[-1])]


@contextmanager
def system_of(
    respond: Respond, *, batch: int = 1, task: str = "rte", timeout_s: float = 20.0, **fields: object
) -> Iterator[tuple[ServedSystem, ModelServer]]:
    with serving(respond) as server:
        path = str(fields.pop("path", "/v2/models/m/infer"))
        definition = ServerDefinition("mine", server.url(path), **fields)  # type: ignore[arg-type]
        variant = ServerVariant(definition, timeout_s=timeout_s)
        artifact = Artifact(Path(), "", {})
        system = variant.load(get_task(task), artifact, PLACEMENT, Settings(batch=batch))
        try:
            yield system, server
        finally:
            system.close()


def answers_of(predictions: Predictions, task: str = "rte") -> list[str]:
    return get_task(task).decide(predictions.logits, predictions.offsets)


def test_a_server_answers_with_the_labels_of_the_task() -> None:
    """One by one, together, and with several texts in a request: the answers are the same."""
    wanted = [RTE.labels[number % 2] for number in range(9)]
    for batch in (1, 4):
        with system_of(oip(by_premise), batch=batch) as (system, server):
            single = system.predict(system.encode(examples(1)))
            together = system.predict(system.encode(examples(9)))
        assert answers_of(single) == wanted[:1]
        assert answers_of(together) == wanted
        assert list(together.offsets) == list(range(10))
        sizes = [
            len(request.json["inputs"][0]["data"]) for request in server.requests if request.method == "POST"
        ]
        assert sorted(sizes) == sorted([1] * 10 if batch == 1 else [1, 4, 4, 1])
    assert isinstance(system, AsyncSystem)
    assert isinstance(system, NetworkSystem)


def test_requests_count_words_and_describe_the_server() -> None:
    """A client has no tokenizer; what the server does not tell is unavailable."""
    with system_of(oip(by_premise), connections=3) as (system, _):
        (request,) = system.encode(examples(1))
        assert request.tokens == 3
        assert system.describe() == {
            "engine": "model server",
            "server": "test",
            "server_version": "1.2",
            "served_model": "m",
            "protocol": "oip",
            "connections": 3,
            "tls": False,
            "started_by": "others",
        }
    template = {"request": {"t": "{first}"}, "label": "label"}
    with system_of(lambda _: http(404, b""), protocol="json", template=template, path="/x") as (system, _):
        assert system.describe()["server_version"] == "unavailable, because it does not say"


def test_traffic_is_that_of_a_window() -> None:
    """From one call to the next; connections that were opened before are not of it."""
    with system_of(oip(by_premise), connections=2) as (system, server):
        system.refresh()
        system.traffic()
        assert system.traffic() == dict.fromkeys(("sent_bytes", "received_bytes", "opened", "resent"), 0) | {
            "first_byte_ns": None,
            "client_cpu_ns": 0,
        }
        system.predict(system.encode(examples(1)))
        traffic = system.traffic()
    sent = server.requests[-1]
    assert traffic["opened"] == 0
    assert (traffic["sent_bytes"] or 0) > len(sent.body) > 50
    assert all((traffic[name] or 0) > 0 for name in ("received_bytes", "first_byte_ns", "client_cpu_ns"))


def test_submitted_requests_are_in_flight_together_up_to_the_connections() -> None:
    """The server holds the first three until it has all three; a fourth waits for a connection."""
    held, inner = threading.Barrier(3), oip(by_premise)

    def respond(request: Incoming) -> bytes | Fault | Iterator[bytes]:
        if request.method == "POST":
            held.wait(20)
        return inner(request)

    results: list[Predictions | Exception] = []
    finished = threading.Semaphore(0)

    def done(result: Predictions | Exception) -> None:
        results.append(result)
        finished.release()

    with system_of(respond, connections=3) as (system, server):
        for request in system.encode(examples(6)):
            system.submit([request], done)
        for _ in range(6):
            assert finished.acquire(timeout=20)
    assert not any(isinstance(result, Exception) for result in results)
    assert len({request.connection for request in server.requests if request.method == "POST"}) == 3


def test_swapped_labels_give_swapped_answers() -> None:
    """They are names of the task, so nothing warns: the accuracy is the true, low one."""
    with system_of(oip(lambda first, _: RTE.labels[1 - int(first[-1])])) as (system, _):
        predictions = system.predict(system.encode(examples(4)))
    assert answers_of(predictions) == [RTE.labels[1 - number % 2] for number in range(4)]


def test_names_without_meaning_are_refused_until_they_are_mapped() -> None:
    """LABEL_0 is not the first label of the task because it ends in 0."""
    respond = oip(lambda first, _: f"LABEL_{first[-1]}")
    with system_of(respond) as (system, _):
        with pytest.raises(
            MeasurementError, match="it answered the label 'LABEL_0' and the task has"
        ) as caught:
            system.predict(system.encode(examples(1)))
        assert "--system-labels LABEL_0=" in str(caught.value.remedy)
    labels = {"LABEL_0": RTE.labels[1], "LABEL_1": RTE.labels[0]}
    with system_of(respond, labels=labels) as (system, _):
        predictions = system.predict(system.encode(examples(2)))
    assert answers_of(predictions) == [RTE.labels[1], RTE.labels[0]]


def single_text(request: Incoming) -> bytes:
    if request.method == "GET":
        metadata = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}]}
        return ok(metadata) if request.path == "/v2/models/m" else http(404, b"")
    (tensor,) = request.json["inputs"]
    labels = [RTE.labels[" and " in text] for text in tensor["data"]]
    return ok({"outputs": [{"name": "out", "datatype": "BYTES", "shape": [len(labels)], "data": labels}]})


def test_a_pair_is_joined_only_by_a_separator_that_was_named() -> None:
    """A model that was trained on pairs sees other tokens between them."""
    with system_of(single_text) as (system, _):
        with pytest.raises(UnsupportedError, match="the server takes one text, and rte has pairs") as caught:
            system.encode(examples(1))
        assert "--system-separator" in str(caught.value.remedy)
    with system_of(single_text, separator=" and ") as (system, server):
        predictions = system.predict(system.encode(examples(1)))
        assert system.describe()["separator"] == " and "
    assert server.requests[-1].json["inputs"][0]["data"] == ["premise 0 and hypothesis"]
    assert answers_of(predictions) == [RTE.labels[True]]


def test_a_request_with_several_inputs_has_a_label_for_each() -> None:
    """MultiRC's answers to one question; a server that takes one text a request gets one request for each."""
    multirc = get_task("multirc")
    question = Example("1", tuple(TextInput(f"premise {number}", "hypothesis") for number in (1, 0, 1)))
    respond = oip(lambda first, _: multirc.labels[int(first[-1])])
    with system_of(respond, task="multirc") as (system, _):
        predictions = system.predict(system.encode([question]))
    assert answers_of(predictions, "multirc") == ["101"]
    template = {"request": {"a": "{first}", "b": "{second}"}, "label": "label"}

    def plain(request: Incoming) -> bytes:
        return ok({"label": multirc.labels[int(request.json["a"][-1])]}) if request.body else http(404, b"")

    with system_of(plain, task="multirc", protocol="json", template=template, path="/x") as (system, server):
        predictions = system.predict(system.encode([question]))
    assert answers_of(predictions, "multirc") == ["101"]
    assert [request.json["a"] for request in server.requests if request.body] == [
        "premise 1",
        "premise 0",
        "premise 1",
    ]


def answering(body: bytes) -> Respond:
    inner = oip(by_premise)
    return lambda request: inner(request) if request.method == "GET" else http(200, body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"outputs": [', "its answer is not JSON"),
        (b"\xff\xfe", "its answer is not UTF-8 text"),
        (b"", "its answer is not JSON"),
        (b"[" * 5000, "nested more than 100 levels"),
        (b'{"outputs": [{"data": [NaN]}]}', "NaN is not a number in JSON"),
        (b'{"outputs": []}', "its answer is not one of oip: expected one output"),
        (
            json.dumps({"outputs": [{"datatype": "BYTES", "data": ["entailment"] * 2}]}).encode(),
            "expected 1 labels, got 2",
        ),
        (
            json.dumps({"outputs": [{"datatype": "BYTES", "data": ["maybe"]}]}).encode(),
            "it answered the label 'maybe'",
        ),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_system(body: bytes, message: str) -> None:
    """Truncated, not text, of another length, with a label that the task does not have."""
    with system_of(answering(body)) as (system, _):
        requests = system.encode(examples(1))
        with pytest.raises(MeasurementError) as caught:
            system.predict(requests)
    assert message in caught.value.message
    assert caught.value.where == "mine"


def test_every_kind_of_failure_of_a_submitted_request_reaches_its_caller() -> None:
    """The loop raises it at the end of the window."""
    inner = oip(by_premise)
    results: list[object] = []
    with system_of(lambda request: inner(request) if request.method == "GET" else Fault.CLOSE) as (system, _):
        finished = threading.Event()
        system.submit(system.encode(examples(1)), lambda result: (results.append(result), finished.set()))
        assert finished.wait(20)
    assert isinstance(results[0], MeasurementError)


def test_logits_are_one_where_the_label_is() -> None:
    """A server returns labels: margins and probabilities are not made up."""
    with system_of(oip(by_premise)) as (system, _):
        logits = system.predict(system.encode(examples(2))).logits
    np.testing.assert_array_equal(logits, [[1, 0], [0, 1]])
