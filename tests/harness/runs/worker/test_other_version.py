from typing import Any

import pytest

from harness.common.errors import MeasurementError
from harness.records.side import side_of, without_side
from harness.runs.worker.handshake import introduction
from harness.runs.worker.messages import PROTOCOL_VERSION, error_from, failure_of
from harness.runs.worker.other_version import OtherVersionWorker, understood
from harness.runs.worker.process import module_path


class Recorded:
    """A worker that answers from a table and remembers what it was asked."""

    def __init__(self, hello: Any) -> None:
        self.hello = hello
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ended = False
        self.pid = 1

    def ask(self, do: str, told: Any = None, **words: Any) -> dict[str, Any]:
        del told
        self.asked.append((do, words))
        if do == "hello" and isinstance(self.hello, Exception):
            raise error_from(failure_of(self.hello))
        return dict(self.hello) if do == "hello" else {}

    def stop(self) -> None:
        self.ended = False

    def go(self) -> None:
        self.ended = False

    def end(self) -> None:
        self.ended = True


def a_hello(**changes: Any) -> dict[str, Any]:
    return {"protocol": PROTOCOL_VERSION, "messages": {"visit": ["indexes", "warmup"]}, **changes}


def test_a_worker_of_other_code_is_told_only_what_it_understands() -> None:
    """A new word that says nothing is left out; the message is then what it always was."""
    worker = Recorded(a_hello())
    OtherVersionWorker(worker, "HEAD~1").ask("visit", indexes=[1], warmup=4, rate=0.0, slo="", order=None)
    assert worker.asked[-1] == ("visit", {"indexes": [1], "warmup": 4})


def test_a_word_that_says_something_is_never_dropped() -> None:
    """It would measure something else than was asked."""
    with pytest.raises(MeasurementError, match="does not know rate of the message 'visit'"):
        understood("visit", {"indexes": [1], "rate": 5.0}, {"visit": ["indexes"]}, "HEAD~1")


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
    """The parameters of each message, and the code that would be run."""

    def warm(indexes: list[int], windows: int) -> dict[str, Any]:
        return {"n": (indexes, windows)}

    said = introduction({"warm": warm}, {})
    assert said["messages"] == {"warm": ["indexes", "windows"]}
    assert said["protocol"] == PROTOCOL_VERSION
    assert len(said["code"]) == 64


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
