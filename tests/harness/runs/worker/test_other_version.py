from typing import Any

import pytest

from harness.common.errors import MeasurementError
from harness.records.side import side_of, without_side
from harness.runs.worker.handshake import introduction
from harness.runs.worker.messages import (
    PROTOCOL_VERSION,
    CompleteRequest,
    HelloRequest,
    VisitRequest,
    error_from,
    failure_of,
)
from harness.runs.worker.other_version import OtherVersionWorker, known_fields
from harness.runs.worker.process import Worker, module_path


class Recorded(Worker):
    """A worker that answers from a table and remembers its messages."""

    pid = 1

    def __init__(self, hello: Any, answer: dict[str, Any] | None = None) -> None:
        self.hello = hello
        self.answer = answer or {}
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.ended = False

    def exchange(self, action: str, fields: dict[str, Any], on_progress: Any = None) -> dict[str, Any]:
        del on_progress
        self.messages.append((action, fields))
        if action == "hello" and isinstance(self.hello, Exception):
            raise error_from(failure_of(self.hello))
        return dict(self.hello) if action == "hello" else self.answer

    def stop(self) -> None:
        self.ended = False

    def resume(self) -> None:
        self.ended = False

    def end(self) -> None:
        self.ended = True


def a_hello(**changes: Any) -> dict[str, Any]:
    return {"protocol": PROTOCOL_VERSION, "messages": {"visit": ["indexes", "warmup"]}, **changes}


def test_a_worker_of_other_code_is_told_only_what_it_understands() -> None:
    """A new word that says nothing is left out; the message is then what it always was."""
    worker = Recorded(a_hello())
    fields = {"indexes": [1], "warmup": 4, "rate": 0.0, "slo": "", "order": None}
    OtherVersionWorker(worker, "HEAD~1").exchange("visit", fields)
    assert worker.messages[-1] == ("visit", {"indexes": [1], "warmup": 4})


def test_a_field_with_an_empty_default_is_not_sent_at_all() -> None:
    """So a request with a new field reaches older code as it was before the field, and hello always does."""
    worker = Recorded(a_hello(messages={"complete": ["indexes"]}), {"answers": ["true"], "truncated": 0})
    other = OtherVersionWorker(worker, "HEAD~1")
    assert other.send(CompleteRequest([3])).answers == ["true"]
    assert other.send(HelloRequest(PROTOCOL_VERSION)) == other.introduction
    assert [fields for _, fields in worker.messages] == [{"protocol": 2}, {"indexes": [3]}, {"protocol": 2}]


def test_an_answer_may_have_more_fields_than_ours_but_not_fewer() -> None:
    """What a newer worker adds is skipped; what is missing is named."""
    answer = {"answers": ["true"], "truncated": 0, "later": 1}
    worker = Recorded(a_hello(messages={"complete": ["indexes"]}), answer)
    assert OtherVersionWorker(worker, "HEAD").send(CompleteRequest([3])).truncated == 0
    worker.answer = {"answers": ["true"]}
    with pytest.raises(MeasurementError, match=r"answer to 'complete' cannot be read: .*'truncated'"):
        OtherVersionWorker(worker, "HEAD").send(CompleteRequest([3]))


def test_a_word_that_says_something_is_never_dropped() -> None:
    """It would measure something else than was asked."""
    with pytest.raises(MeasurementError, match="does not have the field rate of the message 'visit'"):
        known_fields("visit", {"indexes": [1], "rate": 5.0}, ["indexes"], "HEAD~1")
    worker = OtherVersionWorker(Recorded(a_hello()), "HEAD~1")
    with pytest.raises(MeasurementError, match="does not have the field rate of the message 'visit'"):
        worker.send(VisitRequest([1], 4, rate=5.0))


@pytest.mark.parametrize(
    ("hello", "version"), [(KeyError("hello"), "1"), (a_hello(protocol=PROTOCOL_VERSION + 1), "3")]
)
def test_another_version_of_the_protocol_is_refused_by_name(hello: Any, version: str) -> None:
    """The side is named, both versions are, and the worker does not stay."""
    worker = Recorded(hello)
    with pytest.raises(MeasurementError, match=f"HEAD~9: .*version {version} .* this program 2"):
        OtherVersionWorker(worker, "HEAD~9")
    assert worker.ended


def test_a_worker_that_cannot_start_says_why() -> None:
    """Such as an interpreter without the package."""
    worker = Recorded(
        MeasurementError("the worker ended with exit code 1.", remedy="No module named harness")
    )
    with pytest.raises(MeasurementError, match="No module named harness"):
        OtherVersionWorker(worker, "/usr/bin/python3")


def test_a_worker_introduces_itself_with_the_words_it_knows() -> None:
    """The fields of each message, and the code that would be run."""
    own = introduction()
    assert own.messages["warm"] == ["indexes", "windows", "exactly", "first"]
    assert own.messages["visit"] == ["indexes", "warmup", "window_ms", "rate", "seed"]
    assert "hello" not in own.messages
    assert own.protocol == PROTOCOL_VERSION
    assert len(own.code) == 64


def test_a_variant_at_the_gate_is_named_with_its_side() -> None:
    """`onnx-int8@base-again` is onnx-int8, of base measured again."""
    assert (without_side("onnx-int8@base-again"), side_of("onnx-int8@base-again")) == (
        "onnx-int8",
        "base-again",
    )
    assert (without_side("onnx-int8"), side_of("onnx-int8")) == ("onnx-int8", "")


def test_code_of_another_version_leads_the_module_path() -> None:
    """What the user had there follows; ours needs nothing."""
    assert module_path({"PYTHONPATH": "/theirs"}, "/code") == {"PYTHONPATH": "/code:/theirs"}
    assert module_path({}, "/code") == {"PYTHONPATH": "/code"}
    assert module_path({"PYTHONPATH": "/theirs"}, "") == {}
