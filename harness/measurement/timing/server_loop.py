"""The loop of scenario `server`: requests are asked when they arrive, not when the system is free.

    arrives at   0         10        20         ms, fixed before the clock starts
    is answered  0 .. 15   15 .. 30  30 .. 45   each takes 15
    latency      15        20        25         waiting counts

Latency counts from the scheduled arrival, so a system that falls behind is charged for its queue (and so is
the harness, for waking up late: `late_ns` says by how much). A system that takes submitted requests gets each
at its time; any other is asked in the order of arrival, the next as soon as it is free. In between the worker
sleeps: a loop that spins until the next arrival would show up in the energy.
"""

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from harness.measurement.timing.loop import Asked, Clock, Pass, Timeable, WindowTiming
from harness.systems.interface import AsyncSystem, Predictions

Sleep = Callable[[int], None]
"""Sleeps for so many nanoseconds."""

PR_SET_TIMERSLACK = 29
"""From Linux's prctl(2): how much later than asked the kernel may wake a thread, 50,000 ns by default."""


def sleep_ns(nanoseconds: int) -> None:
    """Sleep, with the kernel free to do something else."""
    time.sleep(nanoseconds / 1e9)


def wake_sharply() -> None:
    """Ask the kernel to wake this thread when it said, not up to 50 microseconds later."""
    with contextlib.suppress(OSError, AttributeError):  # where there is no prctl, sleeps are as they are
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_TIMERSLACK, 1)


def serve_arrivals(
    system: Timeable[Asked],
    calls: Sequence[Sequence[Asked]],
    due_ns: Sequence[int],
    span_ns: int,
    *,
    clock: Clock,
    sleep: Sleep = sleep_ns,
) -> WindowTiming:
    """Ask each call at its time; the window lasts `span_ns`, or until all is answered.

    What the system raised, for whichever request, is raised here.
    """
    if isinstance(system, AsyncSystem):
        return _submitted(system, calls, due_ns, span_ns, clock, sleep)
    return _one_by_one(system, calls, due_ns, span_ns, clock, sleep)


def _one_by_one(
    system: Timeable[Asked],
    calls: Sequence[Sequence[Asked]],
    due_ns: Sequence[int],
    span_ns: int,
    clock: Clock,
    sleep: Sleep,
) -> WindowTiming:
    predict = system.predict
    ends, late = [0] * len(calls), [-1] * len(calls)
    answers: list[Any] = [None] * len(calls)
    begin = clock()
    for turn, call in enumerate(calls):
        due = begin + due_ns[turn]
        late[turn] = _until(due, clock, sleep)
        answers[turn] = predict(call)
        ends[turn] = clock()
    _until(begin + span_ns, clock, sleep)
    return _timed(begin, clock(), due_ns, ends, answers, late)


def _submitted(
    system: AsyncSystem,
    calls: Sequence[Sequence[Any]],
    due_ns: Sequence[int],
    span_ns: int,
    clock: Clock,
    sleep: Sleep,
) -> WindowTiming:
    ends, late = [0] * len(calls), [-1] * len(calls)
    answers: list[Any] = [None] * len(calls)
    waiting = threading.Semaphore(0)

    def done(turn: int, answer: Predictions | Exception) -> None:
        ends[turn] = clock()
        answers[turn] = answer
        waiting.release()

    begin = clock()
    for turn, call in enumerate(calls):
        late[turn] = _until(begin + due_ns[turn], clock, sleep)
        system.submit(call, partial(done, turn))
    _until(begin + span_ns, clock, sleep)
    for _ in calls:
        waiting.acquire()
    end = clock()
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return _timed(begin, end, due_ns, ends, answers, late)


def _until(due: int, clock: Clock, sleep: Sleep) -> int:
    """Sleep until a time; return how much later it is then, or -1 if it had passed already."""
    wait = due - clock()
    if wait <= 0:
        return -1
    sleep(wait)
    return clock() - due


def _timed(
    begin: int,
    end: int,
    due_ns: Sequence[int],
    ends: Sequence[int],
    answers: Sequence[Predictions],
    late: Sequence[int],
) -> WindowTiming:
    once = Pass([begin + due for due in due_ns], ends, answers)
    return WindowTiming(begin, end, [once], [each for each in late if each >= 0])
