"""The timed loop: the smallest and most careful file.

            warm-up calls | meter | cpu | first call ... last call | cpu | meter
    clock                        begin                            end

It knows systems, clocks and meters; it knows no task, record or file. All that can be made before the clock
starts is made before: the calls, and the lists that hold the edges. Between two calls stand two clock
readings and two list stores; what they cost is measured by `loop_ns_per_request`. A window that is to last
longer than one pass over its calls repeats whole passes, so that each window asks the same mixture.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from harness.measurement.energy.meter import Meter
from harness.records.reading import Reading
from harness.systems.interface import Predictions

Clock = Callable[[], int]
"""Monotonic nanoseconds (`time.perf_counter_ns`), or CPU nanoseconds (`time.process_time_ns`)."""

Counters = Callable[[], tuple[int, ...]]
"""What else is read at both edges of a window, such as cycles and instructions: what each shows by now."""

Asked_contra = TypeVar("Asked_contra", contravariant=True)
Asked = TypeVar("Asked")
"""What one call holds: requests at boundary `encoded`, examples at boundary `text`."""

CALLS_AT_MOST = 50_000
"""No window repeats its calls beyond so many, however short they are: each keeps its time and its answer."""


class Timeable(Protocol[Asked_contra]):
    """What is timed: a system, or a system with everything from text to label around it."""

    def predict(self, asked: Sequence[Asked_contra], /) -> Predictions:
        """Answer one call; return when the answers are on the host."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Where each call of one pass began and ended on the clock, and what was answered."""

    begins: Sequence[int]
    ends: Sequence[int]
    answers: Sequence[Predictions]


@dataclass(frozen=True, slots=True)
class WindowTiming:
    """What happened in a window, from `begin_ns` to `end_ns`.

    `late_ns` is filled where requests arrive by the clock: how late each that had nobody before it was asked.
    """

    begin_ns: int
    end_ns: int
    passes: Sequence[Pass]
    late_ns: Sequence[int] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One window of one system over one slice.

    `call_ns` holds each call's nanoseconds, in order, pass after pass, and `predictions` what was answered;
    `wall_ns` spans from before the first call to after the last; `cpu_ns` is CPU time of the process (all
    threads) in that window, and `counts` what each of the further counters moved by.
    """

    wall_ns: int
    cpu_ns: int
    call_ns: tuple[int, ...]
    predictions: tuple[Predictions, ...]
    readings: tuple[Reading, ...]
    passes: int = 1
    counts: tuple[int, ...] = ()
    late_ns: tuple[int, ...] = ()


def none() -> tuple[int, ...]:
    """Read no further counters."""
    return ()


def run_visit(
    system: Timeable[Asked],
    calls: Sequence[Sequence[Asked]],
    *,
    warmup: Sequence[Sequence[Asked]],
    clock: Clock,
    cpu_clock: Clock,
    meter: Meter | None,
    window_ns: int = 0,
    counters: Counters = none,
) -> Visit:
    """Answer the warm-up calls unrecorded, then the calls under the clock and the meter.

    The calls are repeated as a whole until `window_ns` have passed, or `CALLS_AT_MOST` calls been made.
    """
    for call in warmup:
        system.predict(call)
    return timed_window(
        lambda: _repeated(system, calls, clock, window_ns),
        cpu_clock=cpu_clock,
        meter=meter,
        counters=counters,
    )


def timed_window(
    work: Callable[[], WindowTiming], *, cpu_clock: Clock, meter: Meter | None, counters: Counters = none
) -> Visit:
    """Do the timed work between two readings of the meter, of CPU time and of the counters."""
    # garbage of what came before must not be collected inside the window
    gc.collect()
    mark = meter.start() if meter else None
    cpu_begin, counts_begin = cpu_clock(), counters()
    timed = work()
    counts_end, cpu_end = counters(), cpu_clock()
    readings = meter.read(mark) if meter else ()
    return Visit(
        wall_ns=timed.end_ns - timed.begin_ns,
        cpu_ns=cpu_end - cpu_begin,
        call_ns=tuple(
            end - begin for one in timed.passes for begin, end in zip(one.begins, one.ends, strict=True)
        ),
        predictions=tuple(answer for one in timed.passes for answer in one.answers),
        readings=readings,
        passes=len(timed.passes),
        counts=tuple(end - begin for begin, end in zip(counts_begin, counts_end, strict=True)),
        late_ns=tuple(timed.late_ns),
    )


def freeze_loaded_objects() -> None:
    """Set aside all that is loaded, so that the collection before each window looks only at what is new.

    With torch loaded, a full collection walks a million objects: a tenth of a second or more at each visit.
    """
    gc.collect()
    gc.freeze()


def _repeated(
    system: Timeable[Asked], calls: Sequence[Sequence[Asked]], clock: Clock, window_ns: int
) -> WindowTiming:
    passes = [_timed(system, calls, clock)]
    begin, most = passes[0].begins[0], CALLS_AT_MOST // len(calls)
    while passes[-1].ends[-1] - begin < window_ns and len(passes) < most:
        passes.append(_timed(system, calls, clock))
    return WindowTiming(begin, passes[-1].ends[-1], passes)


def _timed(system: Timeable[Asked], calls: Sequence[Sequence[Asked]], clock: Clock) -> Pass:
    predict = system.predict
    begins = [0] * len(calls)
    ends = [0] * len(calls)
    answers: list[Predictions] = [_NOTHING] * len(calls)
    for turn, call in enumerate(calls):
        begins[turn] = clock()
        answers[turn] = predict(call)
        ends[turn] = clock()
    return Pass(begins, ends, answers)


def loop_ns_per_request(clock: Clock, requests: int = 2000, repeats: int = 5) -> float:
    """Measure the loop itself: median nanoseconds a request on a system that answers at once.

    The median of `repeats` passes, since a first pass pays for cold caches.
    """
    calls: list[Sequence[object]] = [()] * requests
    spans = []
    for _ in range(repeats):
        once = _timed(_AtOnce(), calls, clock)
        spans.append((once.ends[-1] - once.begins[0]) / requests)
    return sorted(spans)[repeats // 2]


_NOTHING = Predictions(np.zeros((0, 0), dtype=np.float32), np.zeros(1, dtype=np.int64))


class _AtOnce:
    """The null system, in the loop's own process."""

    def predict(self, asked: Sequence[object], /) -> Predictions:
        del asked
        return _NOTHING
