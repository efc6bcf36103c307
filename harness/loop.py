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

from harness.meters.base import Meter, Reading
from harness.system import Logits, Predictions, Request, System

Clock = Callable[[], int]
"""Monotonic nanoseconds (`time.perf_counter_ns`), or CPU nanoseconds (`time.process_time_ns`)."""


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
    system: System,
    calls: Sequence[Sequence[Request]],
    *,
    warmup: Sequence[Sequence[Request]],
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


def _timed(
    system: System, calls: Sequence[Sequence[Request]], clock: Clock
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
    calls: list[Sequence[Request]] = [()] * requests
    spans = []
    for _ in range(repeats):
        begins, ends, _answers = _timed(_AtOnce(), calls, clock)
        spans.append((ends[-1] - begins[0]) / requests)
    return sorted(spans)[repeats // 2]


def _empty() -> Logits:
    import numpy as np

    return np.zeros((0, 0), dtype=np.float32)


_NOTHING = Predictions(_empty(), offsets=_empty().astype("int64").reshape(-1))


class _AtOnce:
    """The null system, in the loop's own process."""

    def encode(self, examples: Sequence[object]) -> Sequence[Request]:
        del examples
        return ()

    def predict(self, requests: Sequence[Request]) -> Predictions:
        del requests
        return _NOTHING

    def describe(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        return None
