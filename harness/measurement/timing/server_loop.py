"""The loop of scenario `server`: requests are sent when they arrive, not when the system is free.

    arrives at   0         10        20         ms, fixed before the clock starts
    is answered  0 .. 15   15 .. 30  30 .. 45   each takes 15
    latency      15        20        25         includes waiting

Latency counts from the scheduled arrival, so a system that falls behind is charged for its queue (and for
late wake-ups of the harness; `late_ns` states them). A system that accepts submitted requests gets each at
its time; any other gets them in the order of arrival, each as soon as the system is free. In between the
worker sleeps: a loop that spins until the next arrival would use energy.
"""

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from harness.measurement.timing.loop import CallT, Clock, Pass, Timeable, WindowTiming
from harness.systems.interface import AsyncSystem, Predictions

Sleep = Callable[[int], None]
"""Sleeps for the given number of nanoseconds."""

PR_SET_TIMERSLACK = 29
"""From Linux's prctl(2): how late the kernel may wake a thread, 50,000 ns by default."""


def sleep_ns(nanoseconds: int) -> None:
    """Sleep, so that the CPU is free."""
    time.sleep(nanoseconds / 1e9)


def wake_sharply() -> None:
    """Set the timer slack of this thread to 1 ns, so that it is not woken up to 50 microseconds late."""
    with contextlib.suppress(OSError, AttributeError):  # without prctl, sleeps keep their slack
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_TIMERSLACK, 1)


def serve_arrivals(
    system: Timeable[CallT],
    calls: Sequence[Sequence[CallT]],
    due_ns: Sequence[int],
    span_ns: int,
    *,
    clock: Clock,
    sleep: Sleep = sleep_ns,
) -> WindowTiming:
    """Send each call at its time; the window lasts `span_ns`, or until all calls are answered.

    `due_ns` holds the time of each call, from the beginning of the window. An exception of the system, for
    any call, is raised here.
    """
    if isinstance(system, AsyncSystem):
        return _submitted(system, calls, due_ns, span_ns, clock, sleep)
    return _one_by_one(system, calls, due_ns, span_ns, clock, sleep)


def _one_by_one(
    system: Timeable[CallT],
    calls: Sequence[Sequence[CallT]],
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
        late[turn] = _sleep_until(due, clock, sleep)
        answers[turn] = predict(call)
        ends[turn] = clock()
    _sleep_until(begin + span_ns, clock, sleep)
    return _timing(begin, clock(), due_ns, ends, answers, late)


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
    answered = threading.Semaphore(0)

    def done(turn: int, answer: Predictions | Exception) -> None:
        ends[turn] = clock()
        answers[turn] = answer
        answered.release()

    begin = clock()
    for turn, call in enumerate(calls):
        late[turn] = _sleep_until(begin + due_ns[turn], clock, sleep)
        system.submit(call, partial(done, turn))
    _sleep_until(begin + span_ns, clock, sleep)
    for _ in calls:
        answered.acquire()
    end = clock()
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return _timing(begin, end, due_ns, ends, answers, late)


def _sleep_until(due: int, clock: Clock, sleep: Sleep) -> int:
    """Sleep until a time; return by how many nanoseconds that was late, or -1 if the time had passed."""
    wait = due - clock()
    if wait <= 0:
        return -1
    sleep(wait)
    return clock() - due


def _timing(
    begin: int,
    end: int,
    due_ns: Sequence[int],
    ends: Sequence[int],
    answers: Sequence[Predictions],
    late: Sequence[int],
) -> WindowTiming:
    calls = Pass([begin + due for due in due_ns], ends, answers)
    return WindowTiming(begin, end, [calls], [late_ns for late_ns in late if late_ns >= 0])
