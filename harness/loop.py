"""The timed loop: the smallest and most careful file.

            warm-up calls | meter | cpu | first call ... last call | cpu | meter
    clock                        begin                            end

It knows systems, clocks and meters; it knows no task, record or file. All that can be made before the clock
starts is made before: the calls, and the lists that hold the edges. Between two calls stand two clock
readings and two list stores; what they cost is measured by `loop_ns_per_request`.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from harness.meters.base import Meter, Reading
from harness.system import Predictions

Clock = Callable[[], int]
"""Monotonic nanoseconds (`time.perf_counter_ns`), or CPU nanoseconds (`time.process_time_ns`)."""

Asked_contra = TypeVar("Asked_contra", contravariant=True)
Asked = TypeVar("Asked")
"""What one call holds: requests at boundary `encoded`, examples at boundary `text`."""


class Answers(Protocol[Asked_contra]):
    """What is timed: a system, or a system with everything from text to label around it."""

    def predict(self, asked: Sequence[Asked_contra], /) -> Predictions:
        """Answer one call; return when the answers are on the host."""


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One timed pass of one system over one slice.

    `call_ns` holds each call's nanoseconds, in order; `wall_ns` spans from before the first call to after
    the last; `cpu_ns` is CPU time of the process (all threads) in that window.
    """

    wall_ns: int
    cpu_ns: int
    call_ns: tuple[int, ...]
    predictions: tuple[Predictions, ...]
    readings: tuple[Reading, ...]


def visit(
    system: Answers[Asked],
    calls: Sequence[Sequence[Asked]],
    *,
    warmup: Sequence[Sequence[Asked]],
    clock: Clock,
    cpu_clock: Clock,
    meter: Meter | None,
) -> Visit:
    """Answer the warm-up calls unrecorded, then the calls under the clock and the meter."""
    for call in warmup:
        system.predict(call)
    # garbage of what came before must not be collected inside the window
    gc.collect()
    mark = meter.start() if meter else None
    cpu_begin = cpu_clock()
    begins, ends, answers = _timed(system, calls, clock)
    cpu_end = cpu_clock()
    readings = meter.read(mark) if meter else ()
    return Visit(
        wall_ns=ends[-1] - begins[0],
        cpu_ns=cpu_end - cpu_begin,
        call_ns=tuple(end - begin for begin, end in zip(begins, ends, strict=True)),
        predictions=tuple(answers),
        readings=readings,
    )


def settle() -> None:
    """Set aside all that is loaded, so that the collection before each window looks only at what is new.

    With torch loaded, a full collection walks a million objects: a tenth of a second or more at each visit.
    """
    gc.collect()
    gc.freeze()


def _timed(
    system: Answers[Asked], calls: Sequence[Sequence[Asked]], clock: Clock
) -> tuple[list[int], list[int], list[Predictions]]:
    predict = system.predict
    begins = [0] * len(calls)
    ends = [0] * len(calls)
    answers: list[Predictions] = [_NOTHING] * len(calls)
    for turn, call in enumerate(calls):
        begins[turn] = clock()
        answers[turn] = predict(call)
        ends[turn] = clock()
    return begins, ends, answers


def loop_ns_per_request(clock: Clock, requests: int = 2000, repeats: int = 5) -> float:
    """Measure the loop itself: median nanoseconds a request on a system that answers at once.

    The median of `repeats` passes, since a first pass pays for cold caches.
    """
    calls: list[Sequence[object]] = [()] * requests
    spans = []
    for _ in range(repeats):
        begins, ends, _answers = _timed(_AtOnce(), calls, clock)
        spans.append((ends[-1] - begins[0]) / requests)
    return sorted(spans)[repeats // 2]


_NOTHING = Predictions(np.zeros((0, 0), dtype=np.float32), np.zeros(1, dtype=np.int64))


class _AtOnce:
    """The null system, in the loop's own process."""

    def predict(self, asked: Sequence[object], /) -> Predictions:
        del asked
        return _NOTHING
