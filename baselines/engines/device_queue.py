"""Requests that nobody waits for, on a device: the next is prepared while the device works on others.

    submit --> waiting --launcher: pad, copy, launch--> under way (at most `DEPTH`) --collector: wait--> done
                                                        the device works through these

A `predict` leaves the device idle while the host pads the next request, and the host idle while it waits.
Here one thread launches and another waits, so that the device finds its next work queued. What is under way
is bounded, as memory is, and an answer is told as soon as it is there. The same code runs on a CPU, where a
launch computes at once.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from harness.systems.interface import OnAnswer, Predictions, Request, System
from harness.workload.tasks.example import Example

DEPTH = 4
"""Calls under way at most: one that runs, a few that wait on the device. A guess: nothing was measured."""

Answering = Callable[[], Predictions]
"""Waits for the answers of one call that was launched, and returns them."""


class Begins(System, Protocol):
    """A system that can launch a call without waiting for its answers."""

    @property
    def encoding(self) -> str:
        """What is the same for all systems that encode alike."""

    def begin(self, requests: Sequence[Request]) -> Answering:
        """Launch all that answers the requests, and the copy of the answers to the host."""


class DeviceQueue:
    """A system on a device that also takes submitted requests, in order."""

    def __init__(self, system: Begins, depth: int = DEPTH) -> None:
        self._system, self._depth = system, depth
        self._room = threading.Semaphore(depth)
        self._waiting: queue.SimpleQueue[tuple[Sequence[Request], OnAnswer] | None] = queue.SimpleQueue()
        self._under_way: queue.SimpleQueue[tuple[Answering, OnAnswer] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def encoding(self) -> str:
        """What is the same for all systems that encode alike."""
        return self._system.encoding

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        """Turn text into unpadded requests."""
        return self._system.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests in the caller's own thread."""
        return self._system.predict(requests)

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Take one call's requests and return at once; `done` is called in a thread of the queue's."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=work, daemon=True) for work in (self._launch, self._collect)
            ]
            for thread in self._threads:
                thread.start()
        self._waiting.put((requests, done))

    def describe(self) -> Mapping[str, Any]:
        """Say what the system says, and how much may be under way."""
        return {**self._system.describe(), "submitted_at_most": self._depth}

    def close(self) -> None:
        """Answer what was submitted, end the threads, and release the system."""
        if self._threads:
            self._waiting.put(None)
            for thread in self._threads:
                thread.join()
            self._threads = []
        self._system.close()

    def _launch(self) -> None:
        while (asked := self._waiting.get()) is not None:
            requests, done = asked
            self._room.acquire()
            try:
                answering = self._system.begin(requests)
            except Exception as problem:  # noqa: BLE001 -- whatever it is, whoever asked is told
                answering = _raising(problem)
            self._under_way.put((answering, done))
        self._under_way.put(None)

    def _collect(self) -> None:
        while (launched := self._under_way.get()) is not None:
            answering, done = launched
            answer: Predictions | Exception
            try:
                answer = answering()
            except Exception as problem:  # noqa: BLE001 -- likewise
                answer = problem
            self._room.release()
            done(answer)


def _raising(problem: Exception) -> Answering:
    def answering() -> Predictions:
        raise problem

    return answering


def queued(system: Begins, device: str) -> System:
    """Return the system, with a queue where it runs on a GPU; a CPU has nothing that works meanwhile."""
    return system if device == "cpu" else DeviceQueue(system)
