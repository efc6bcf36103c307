"""The timed loop: calls of a system between two reads of the clock and the meter.

            warm-up calls | meter | cpu | first call ... last call | cpu | meter
    clock                        begin                            end

It depends on systems, clocks and meters, and on no task, record or file. Everything that can be made before
the clock starts is made before: the calls, and the lists for begin and end. Between two calls there are two
clock reads and two list stores; `loop_ns_per_request` measures their cost. A window that must last longer
than one pass over its calls repeats whole passes, so that each window has the same mixture of requests.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from harness.measurement.energy.meter import Meter, TimedWindow, read_window
from harness.records.reading import Reading
from harness.systems.interface import Predictions

Clock = Callable[[], int]
"""Monotonic nanoseconds (`time.perf_counter_ns`), or CPU nanoseconds (`time.process_time_ns`)."""

Counters = Callable[[], tuple[int, ...]]
"""Returns the present values of further counters, such as cycles and instructions; read at both edges."""

CallT_contra = TypeVar("CallT_contra", contravariant=True)
CallT = TypeVar("CallT")
"""The elements of a call: requests at boundary `encoded`, examples at boundary `text`."""

CALLS_AT_MOST = 50_000
"""The limit of calls in a window, however short they are: the time and answer of each are kept in memory."""


class Timeable(Protocol[CallT_contra]):
    """A system, or a system with all steps from text to label around it."""

    def predict(self, call: Sequence[CallT_contra], /) -> Predictions:
        """Answer one call; return when the answers are in host memory."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The begin and end of each call of one pass on the clock, and the answers."""

    begins: Sequence[int]
    ends: Sequence[int]
    answers: Sequence[Predictions]


@dataclass(frozen=True, slots=True)
class WindowTiming:
    """The passes of a window, from `begin_ns` to `end_ns`.

    If requests arrive by the clock, `late_ns` holds how late each request was sent that did not have to wait.
    """

    begin_ns: int
    end_ns: int
    passes: Sequence[Pass]
    late_ns: Sequence[int] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One window of one system over one slice.

    `call_ns` holds the nanoseconds of each call, in order, pass after pass, and `predictions` the answers.
    `gap_ns` holds the nanoseconds from the end of the call before, or from the beginning of the window, to
    the beginning of each call; they are negative where calls overlap. `wall_ns` is the time from before the
    first call to after the last, `cpu_ns` the CPU time of the process (all threads) in that window, and
    `counts` the increase of each further counter.
    """

    wall_ns: int
    cpu_ns: int
    call_ns: tuple[int, ...]
    predictions: tuple[Predictions, ...]
    readings: tuple[Reading, ...]
    passes: int = 1
    counts: tuple[int, ...] = ()
    late_ns: tuple[int, ...] = ()
    gap_ns: tuple[int, ...] = ()


def no_counters() -> tuple[int, ...]:
    """Return no values: the default for further counters."""
    return ()


def run_visit(
    system: Timeable[CallT],
    calls: Sequence[Sequence[CallT]],
    *,
    warmup: Sequence[Sequence[CallT]],
    clock: Clock,
    cpu_clock: Clock,
    meter: Meter | None,
    window_ns: int = 0,
    counters: Counters = no_counters,
) -> Visit:
    """Make the warm-up calls without recording them, then the calls under the clock and the meter.

    All calls are repeated until `window_ns` have passed, or the limit of `CALLS_AT_MOST` is reached.
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
    work: Callable[[], WindowTiming],
    *,
    cpu_clock: Clock,
    meter: Meter | None,
    counters: Counters = no_counters,
) -> Visit:
    """Do the timed work between two reads of the meter, of CPU time and of the counters."""
    # garbage from before must not be collected inside the window
    gc.collect()
    mark = meter.start() if meter else None
    cpu_begin, counts_begin = cpu_clock(), counters()
    timing = work()
    counts_end, cpu_end = counters(), cpu_clock()
    window = TimedWindow(timing.end_ns - timing.begin_ns, cpu_end - cpu_begin)
    readings = read_window(meter, mark, window) if meter else ()
    return Visit(
        wall_ns=window.wall_ns,
        cpu_ns=window.cpu_ns,
        call_ns=tuple(
            end - begin
            for calls in timing.passes
            for begin, end in zip(calls.begins, calls.ends, strict=True)
        ),
        predictions=tuple(answer for calls in timing.passes for answer in calls.answers),
        readings=readings,
        passes=len(timing.passes),
        # a counter that stopped within the window has no value at its end
        counts=tuple(end - begin for begin, end in zip(counts_begin, counts_end, strict=False)),
        late_ns=tuple(timing.late_ns),
        gap_ns=_gaps(timing),
    )


def _gaps(timing: WindowTiming) -> tuple[int, ...]:
    """Return the nanoseconds before each call: with the calls' own they are the whole window, to its end."""
    begins = [begin for calls in timing.passes for begin in calls.begins]
    ends = [end for calls in timing.passes for end in calls.ends]
    return tuple(begin - end for begin, end in zip(begins, [timing.begin_ns, *ends], strict=False))


def freeze_loaded_objects() -> None:
    """Exclude all present objects from garbage collection, so that the one before each window is short.

    With torch loaded, a full collection visits a million objects, which takes 0.1 s or more at each visit.
    """
    gc.collect()
    gc.freeze()


def _repeated(
    system: Timeable[CallT], calls: Sequence[Sequence[CallT]], clock: Clock, window_ns: int
) -> WindowTiming:
    passes = [_timed(system, calls, clock)]
    begin, most = passes[0].begins[0], CALLS_AT_MOST // len(calls)
    while passes[-1].ends[-1] - begin < window_ns and len(passes) < most:
        passes.append(_timed(system, calls, clock))
    return WindowTiming(begin, passes[-1].ends[-1], passes)


def _timed(system: Timeable[CallT], calls: Sequence[Sequence[CallT]], clock: Clock) -> Pass:
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
    """Measure the cost of the loop itself: nanoseconds per request of a system that answers at once.

    The median of `repeats` passes, as the first one pays for cold caches.
    """
    calls: list[Sequence[object]] = [()] * requests
    spans = []
    for _ in range(repeats):
        one_pass = _timed(_NullSystem(), calls, clock)
        spans.append((one_pass.ends[-1] - one_pass.begins[0]) / requests)
    return sorted(spans)[repeats // 2]


_NOTHING = Predictions(np.zeros((0, 0), dtype=np.float32), np.zeros(1, dtype=np.int64))


class _NullSystem:
    """A system that does nothing, in the loop's own process."""

    def predict(self, call: Sequence[object], /) -> Predictions:
        del call
        return _NOTHING
