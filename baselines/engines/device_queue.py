"""A queue of requests for a device: the host prepares the next while the device computes the last.

    submit --> waiting --launcher: pad, copy, launch--> in flight (at most `DEPTH`) --collector: wait--> done
                                                        the device computes these

`predict` leaves the device idle while the host pads the next request, and the host idle while it waits. Here
one thread launches and another waits, so that the device always has queued work. The number of calls in
flight is bounded, which bounds memory. Each answer is passed on as soon as it is complete. The same code runs
on a CPU, where a launch computes at once.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from harness.systems.interface import OnAnswer, Predictions, Request, System
from harness.workload.tasks.example import Example

DEPTH = 4
"""Calls in flight at most: one that runs and a few that wait on the device. The number is not measured."""

Answering = Callable[[], Predictions]
"""Waits for the predictions of one launched call, and returns them."""


class LaunchingSystem(System, Protocol):
    """A system that can launch a call without waiting for its predictions."""

    @property
    def encoding(self) -> str:
        """The hash that systems with equal encoding share."""

    def begin(self, requests: Sequence[Request]) -> Answering:
        """Launch the computation for the requests, and the copy of the logits to the host."""


class DeviceQueue:
    """A system on a device that also takes submitted requests, in order."""

    def __init__(self, system: LaunchingSystem, depth: int = DEPTH) -> None:
        self._system, self._depth = system, depth
        self._free = threading.Semaphore(depth)
        self._waiting: queue.SimpleQueue[tuple[Sequence[Request], OnAnswer] | None] = queue.SimpleQueue()
        self._in_flight: queue.SimpleQueue[tuple[Answering, OnAnswer] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def encoding(self) -> str:
        """The hash that systems with equal encoding share."""
        return self._system.encoding

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        """Return the examples as unpadded requests."""
        return self._system.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Return the predictions for the requests; runs in the caller's thread."""
        return self._system.predict(requests)

    def submit(self, requests: Sequence[Request], done: OnAnswer) -> None:
        """Queue one call's requests and return at once; `done` is called in a thread of the queue."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=loop, daemon=True) for loop in (self._launch, self._collect)
            ]
            for thread in self._threads:
                thread.start()
        self._waiting.put((requests, done))

    def describe(self) -> Mapping[str, Any]:
        """Return the system's description, with the number of calls that may be in flight."""
        return {**self._system.describe(), "submitted_at_most": self._depth}

    def close(self) -> None:
        """Finish what was submitted, end the threads, and release the system."""
        if self._threads:
            self._waiting.put(None)
            for thread in self._threads:
                thread.join()
            self._threads = []
        self._system.close()

    def _launch(self) -> None:
        while (submitted := self._waiting.get()) is not None:
            requests, done = submitted
            self._free.acquire()
            try:
                wait_for_predictions = self._system.begin(requests)
            except Exception as problem:  # noqa: BLE001 -- passed on to `done`, whatever it is
                wait_for_predictions = _raise_later(problem)
            self._in_flight.put((wait_for_predictions, done))
        self._in_flight.put(None)

    def _collect(self) -> None:
        while (launched := self._in_flight.get()) is not None:
            wait_for_predictions, done = launched
            answer: Predictions | Exception
            try:
                answer = wait_for_predictions()
            except Exception as problem:  # noqa: BLE001 -- passed on to `done`, whatever it is
                answer = problem
            self._free.release()
            done(answer)


def _raise_later(problem: Exception) -> Answering:
    def wait_for_predictions() -> Predictions:
        raise problem

    return wait_for_predictions


def queued(system: LaunchingSystem, device: str) -> System:
    """Return the system, with a queue where it runs on a GPU; on a CPU the host does all the work itself."""
    return system if device == "cpu" else DeviceQueue(system)
