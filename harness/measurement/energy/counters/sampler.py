"""The samples of one open window: at its first edge, in between, and at its last edge.

    Sampler() --- sample --- sample --- end() --> [sample, sample, sample, sample]

A thread takes samples at an interval and sleeps in between. It is needed for counters that could wrap around
twice within a window, and for sensors that show power instead of energy. It ends with the window, or when the
sampler is garbage. The CPU time that it uses is recorded, as sampling itself uses energy.
"""

import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

SampleT = TypeVar("SampleT")


class Sampler(Generic[SampleT]):
    """Calls `take` now, then every `every_s` seconds (never, if None), and once more at the end."""

    def __init__(self, take: Callable[[], SampleT], every_s: float | None = None) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.observer_ns = 0
        """CPU time that the samples in between took, in nanoseconds."""
        self.samples: list[SampleT] = []
        """The result of the last `end`."""
        self._samples: list[SampleT] = []
        if every_s is not None:
            arguments = (weakref.ref(self), self._ended, every_s)
            self._thread = threading.Thread(target=_keep_sampling, args=arguments, name="meter", daemon=True)
            self._thread.start()
            weakref.finalize(self, self._ended.set).atexit = False
        # the first sample comes last, so that starting the thread stays outside of the window
        first = take()
        with self._lock:
            self._samples.insert(0, first)

    def sample(self) -> None:
        """Take a sample within the window."""
        began = time.thread_time_ns()
        sample = self._take()
        with self._lock:
            if not self._ended.is_set():
                self._samples.append(sample)
                self.observer_ns += time.thread_time_ns() - began

    def end(self) -> list[SampleT]:
        """Take the last sample, stop sampling, and return all samples.

        May be called again for a later edge of the same window.
        """
        last = self._take()
        with self._lock:
            self._ended.set()
            self.samples = [*self._samples, last]
        if self._thread:
            self._thread.join()
            self._thread = None
        return self.samples


def _keep_sampling(
    reference: "weakref.ref[Sampler[SampleT]]", ended: threading.Event, every_s: float
) -> None:
    while not ended.wait(min(every_s, threading.TIMEOUT_MAX)):  # a damaged range asks for more than that
        sampler = reference()
        if sampler is None:
            return
        sampler.sample()
        del sampler
