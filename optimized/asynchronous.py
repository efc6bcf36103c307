"""Answers that nobody waits for: for a harness that sends requests when they arrive, not when it is free.

submit(requests, done) --at once--> the caller goes on
                       --later----> done(predictions), in another thread
"""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, runtime_checkable

from harness.errors import UsageError
from harness.system import Predictions, Request, System

Done = Callable[[Predictions | Exception], None]
"""Told the predictions, or the error there was instead. It is short, and waits for no other answer."""


@runtime_checkable
class Asynchronous(Protocol):
    """What a system may offer beside `predict`."""

    def submit(self, requests: Sequence[Request], done: Done) -> None:
        """Take one call's requests; any thread may submit, `done` is called in one thread."""

    def close(self) -> None:
        """Release what is held; what was submitted is told of before that, an answer or an error."""


class OnThread:
    """A plain system behind one thread: calls queue up, and are answered in the order they came.

    Closing answers what was submitted, and leaves the system open: who made it closes it.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._calls: queue.SimpleQueue[tuple[Sequence[Request], Done] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="bench-submit", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request], done: Done) -> None:
        """Queue a call; UsageError after `close`."""
        if self._closed:
            raise UsageError("requests were submitted after the system was closed.")
        self._calls.put((requests, done))

    def close(self) -> None:
        """Wait until all is answered."""
        self._closed = True
        self._calls.put(None)
        self._thread.join()

    def _work(self) -> None:
        while call := self._calls.get():
            requests, done = call
            try:
                answer: Predictions | Exception = self._system.predict(requests)
            except Exception as problem:  # noqa: BLE001 -- whatever it is, who asked must hear of it
                answer = problem
            with suppress(Exception):  # a caller's bug must not silence the others
                done(answer)


def on_thread(system: System) -> Asynchronous:
    """Return the system itself if it takes submitted requests, else one that predicts in its own thread."""
    return system if isinstance(system, Asynchronous) else OnThread(system)
