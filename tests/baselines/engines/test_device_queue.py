"""Submitted requests on a device: launched ahead of their answers, bounded, answered in order."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.engines.device_queue import Answering, DeviceQueue, queued
from baselines.engines.pytorch import VARIANTS
from baselines.models.cuda import on_host
from harness.measurement.timing.server_loop import serve_arrivals
from harness.systems.interface import AsyncSystem, Predictions, Request
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ

PATIENCE_S = 10


def a_request(number: int) -> Request:
    return Request(str(number), ())


def number_of(answer: Predictions | Exception) -> int:
    assert isinstance(answer, Predictions)
    return int(answer.logits[0, 0])


class Device:
    """A system whose device finishes launched calls in order, when the test lets it."""

    encoding = "fake"

    def __init__(self) -> None:
        self.launched: list[int] = []
        self.most = self.under_way = 0
        self.closed = False
        self._changed = threading.Condition()
        self._work = threading.Semaphore(0)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        return [a_request(int(example.id)) for example in examples]

    def begin(self, requests: Sequence[Request]) -> Answering:
        number = int(requests[0].id)
        if number < 0:
            raise ValueError("it cannot be launched")
        with self._changed:
            self.launched.append(number)
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self._changed.notify_all()

        def answered() -> Predictions:
            assert self._work.acquire(timeout=PATIENCE_S)
            with self._changed:
                self.under_way -= 1
            if number == 13:
                raise ValueError("the device failed")
            return Predictions(np.array([[number]], dtype=np.float32), np.array([0, 1]))

        return answered

    def predict(self, requests: Sequence[Request]) -> Predictions:
        self.finish(1)
        return self.begin(requests)()

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "fake"}

    def close(self) -> None:
        self.closed = True

    def finish(self, count: int) -> None:
        """Let the device finish so many calls."""
        for _ in range(count):
            self._work.release()

    def until_launched(self, count: int) -> list[int]:
        """Wait until so many were launched."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.launched) >= count, PATIENCE_S)
            return list(self.launched)


class AnswerRecorder:
    """Records the answers that it is called with, and the threads of the calls."""

    def __init__(self) -> None:
        self.answers: list[Predictions | Exception] = []
        self.threads: set[int] = set()
        self._count = threading.Semaphore(0)

    def __call__(self, answer: Predictions | Exception) -> None:
        self.answers.append(answer)
        self.threads.add(threading.get_ident())
        self._count.release()

    def wait(self, count: int) -> list[Predictions | Exception]:
        for _ in range(count):
            assert self._count.acquire(timeout=PATIENCE_S)
        return self.answers


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def queue(device: Device) -> Iterator[DeviceQueue]:
    device_queue = DeviceQueue(device, depth=2)
    yield device_queue
    device.finish(100)
    device_queue.close()


def test_the_next_request_is_launched_before_the_first_is_answered(
    device: Device, queue: DeviceQueue
) -> None:
    """`submit` does not wait; two are in flight, the third follows when the first is done."""
    recorder = AnswerRecorder()
    for number in range(5):
        queue.submit([a_request(number)], recorder)
    assert device.until_launched(2) == [0, 1]
    assert recorder.answers == []
    device.finish(1)
    assert device.until_launched(3) == [0, 1, 2]
    device.finish(4)
    assert [number_of(answer) for answer in recorder.wait(5)] == [0, 1, 2, 3, 4]
    assert device.most == 2


def test_answers_are_passed_on_one_at_a_time_by_a_thread_that_is_not_the_caller_s(
    device: Device, queue: DeviceQueue
) -> None:
    """As the protocol requires."""
    recorder = AnswerRecorder()
    device.finish(8)
    for number in range(8):
        queue.submit([a_request(number)], recorder)
    recorder.wait(8)
    assert len(recorder.threads) == 1
    assert threading.get_ident() not in recorder.threads


def test_an_error_is_passed_to_its_own_request_only(device: Device, queue: DeviceQueue) -> None:
    """Whether launching failed or the device did; the place is freed, so that the rest is answered."""
    recorder = AnswerRecorder()
    device.finish(10)
    for number in (-1, 1, 13, -2, 13, 2):
        queue.submit([a_request(number)], recorder)
    answers = recorder.wait(6)
    shown = [str(answer) if isinstance(answer, Exception) else number_of(answer) for answer in answers]
    launch, run = "it cannot be launched", "the device failed"
    assert shown == [launch, 1, run, launch, run, 2]


def test_closing_answers_what_was_submitted(device: Device) -> None:
    """And ends both threads, and the system."""
    queue, recorder, before = DeviceQueue(device), AnswerRecorder(), threading.active_count()
    device.finish(3)
    for number in range(3):
        queue.submit([a_request(number)], recorder)
    queue.close()
    assert [number_of(answer) for answer in recorder.answers] == [0, 1, 2]
    assert device.closed
    assert threading.active_count() == before


def test_offered_load_keeps_the_device_s_queue_full(device: Device, queue: DeviceQueue) -> None:
    """Scenario `server` submits: six arrive at once, and two are in flight before the first is answered."""
    assert isinstance(queue, AsyncSystem)
    finishing = threading.Thread(target=lambda: (device.until_launched(2), device.finish(6)))
    finishing.start()
    calls = [[a_request(number)] for number in range(6)]
    timed = serve_arrivals(queue, calls, [0] * 6, 0, clock=time.perf_counter_ns)
    assert [number_of(answer) for answer in timed.passes[0].answers] == list(range(6))
    finishing.join()
    assert device.most == 2


def test_only_a_device_that_works_by_itself_gets_a_queue(device: Device) -> None:
    """On a CPU the thread that launches would compute."""
    assert queued(device, "cpu") is device
    system = queued(device, "cuda")
    assert isinstance(system, DeviceQueue)
    assert system.describe() == {"engine": "fake", "submitted_at_most": 4}
    assert system.encoding == "fake"
    assert number_of(system.predict([a_request(3)])) == 3


def test_a_model_s_submitted_answers_are_its_plain_ones(tmp_path: Path) -> None:
    """The same code on the CPU, with a real model."""
    folder = tiny.task_checkpoint(tmp_path / "model", BOOLQ)
    system: Any = tiny.opened(VARIANTS[1], BOOLQ, folder, tmp_path / "cache")
    requests = system.encode(tiny.task_examples(BOOLQ))
    plain = [system.predict([request]).logits for request in requests]
    queue, recorder = DeviceQueue(system), AnswerRecorder()
    for request in requests:
        queue.submit([request], recorder)
    logits = [answer.logits for answer in recorder.wait(len(requests)) if isinstance(answer, Predictions)]
    queue.close()
    np.testing.assert_array_equal(np.concatenate(logits), np.concatenate(plain))


class FakeTensor:
    """Rows on a device; copies to it are noted in the order of the stream."""

    def __init__(self, rows: list[list[float]], device: str, stream: list[str]) -> None:
        self.rows, self.device, self.stream = rows, SimpleNamespace(type=device), stream
        self.shape, self.dtype = (len(rows), len(rows[0])), "float32"

    def copy_(self, other: "FakeTensor", non_blocking: bool) -> None:
        assert non_blocking
        self.stream.append("copy")
        self.rows = other.rows

    def numpy(self) -> np.ndarray[Any, Any]:
        return np.array(self.rows, dtype=np.float32)


def fake_torch(stream: list[str]) -> Any:
    """Return what is shaped like PyTorch with a GPU: an event waits for what the stream held before it."""

    class Event:
        def record(self, on: object) -> None:
            assert on == "the device's stream"
            stream.append("event")

        def synchronize(self) -> None:
            stream.append("wait")

    def cat(parts: list[FakeTensor]) -> FakeTensor:
        return FakeTensor([row for part in parts for row in part.rows], "cuda", stream)

    def empty(shape: tuple[int, int], dtype: str, pin_memory: bool) -> FakeTensor:
        assert (dtype, pin_memory) == ("float32", True)
        return FakeTensor([[0.0] * shape[1]] * shape[0], "cpu", stream)

    current: Callable[[Any], str] = lambda _device: "the device's stream"  # noqa: E731
    cuda = SimpleNamespace(Event=Event, current_stream=current)
    return SimpleNamespace(cat=cat, empty=empty, cuda=cuda)


def test_the_copy_to_the_host_is_queued_with_the_work_and_waited_for_later() -> None:
    """Queued only when it is waited for, it would be behind whatever was launched meanwhile."""
    stream: list[str] = []
    parts = [FakeTensor([[1.0, 2.0]], "cuda", stream), FakeTensor([[3.0, 4.0]], "cuda", stream)]
    waited = on_host(parts, fake_torch(stream))
    stream.append("the next call")
    assert waited().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert stream == ["copy", "event", "the next call", "wait"]
