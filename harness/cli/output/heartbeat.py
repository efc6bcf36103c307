"""A heartbeat: a thread calls a function now and then, during stages in which nothing is timed."""

import threading
from collections.abc import Callable


class Heartbeat:
    """Calls `beat` every few seconds, from `start` until `stop`.

    The thread exists only in between, so that none runs while something is timed.
    """

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._thread is not None

    def start(self, period_s: float) -> None:
        """Call `beat` every `period_s` seconds from now on; never, where that is infinite."""
        self.stop()
        if period_s == float("inf"):
            return
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._ended, period_s), name="heartbeat", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait until it is gone."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ended.set()
            thread.join()

    def _run(self, ended: threading.Event, period_s: float) -> None:
        while not ended.wait(period_s):
            self._beat()
