"""A system that is loaded, and what a worker does with it: warm it up, time a visit, answer the rest.

The order of a visit comes from the parent. Here it becomes calls, and what was seen becomes plain words.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from harness.analysis.statistics.adaptive_cost import adaptive_costs
from harness.common.procfs import TreeCpuTime
from harness.measurement.energy.meter import Meter
from harness.measurement.machine.perf_events import WorkCounters, open_work_counters
from harness.measurement.timing.loop import (
    CALLS_AT_MOST,
    Clock,
    Timeable,
    Visit,
    freeze_loaded_objects,
    run_visit,
    timed_window,
)
from harness.measurement.timing.server_loop import Sleep, serve_arrivals, sleep_ns
from harness.measurement.timing.warmup import first_length_costs, warm_up
from harness.systems.interface import AsyncSystem, OnAnswer, Predictions, Request, System
from harness.workload.scenarios.base import Scenario
from harness.workload.scenarios.server import arrival_times_ns, passes_within
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic nanoseconds, CPU nanoseconds of this process and its children, and how to sleep.

    `counters` opens what counts cycles and instructions of the process and all that it starts from then on.
    """

    wall: Clock = time.perf_counter_ns
    cpu: Clock = field(default_factory=TreeCpuTime)
    sleep: Sleep = sleep_ns
    counters: Callable[[], WorkCounters] = open_work_counters


@dataclass(frozen=True, slots=True)
class VisitOrder:
    """What a visit asks: examples by index, a few of them first without recording, for how long at least.

    With scenario `server` they arrive at `rate` a second (0: all at once), as `seed` draws it.
    """

    indexes: Sequence[int]
    warmup: int
    window_ms: int = 0
    rate: float = 0.0
    seed: str = ""


class TextToLabel:
    """A system with everything from text to label around it: what is timed at boundary `text`."""

    def __init__(self, system: System, task: Task) -> None:
        self._system = system
        self._task = task

    def predict(self, asked: Sequence[Example], /) -> Predictions:
        """Encode, answer and decide; a program from outside has decided already."""
        return self.decided(self._system.predict(self._system.encode(asked)))

    def decided(self, predictions: Predictions) -> Predictions:
        """Return the predictions with a label for each request."""
        if predictions.answers is not None:
            return predictions
        decided = self._task.decide(predictions.logits, predictions.offsets)
        return replace(predictions, answers=tuple(decided))


class TextSubmitted(TextToLabel):
    """The same around a system that takes submitted requests."""

    def submit(self, asked: Sequence[Any], done: OnAnswer) -> None:
        """Encode, and submit; decide when the answer comes."""

        def answered(answer: Predictions | Exception) -> None:
            done(answer if isinstance(answer, Exception) else self.decided(answer))

        system: Any = self._system
        system.submit(system.encode(asked), answered)


@dataclass(slots=True)
class LoadedSystem:
    """A system that is loaded, with what it is asked."""

    task: Task
    system: System
    scenario: Scenario
    boundary: str
    examples: Sequence[Example]
    meter: Meter | None
    batch: int = 1
    counters: WorkCounters = field(default_factory=WorkCounters)
    requests: dict[int, Request] = field(default_factory=dict)
    kept: Sequence[Request] = ()
    """The whole split as it was encoded before, where the cache holds it."""

    @property
    def timed(self) -> Timeable[Any]:
        """What stands inside the clock: the system, or all from text to label."""
        if self.boundary != "text":
            return self.system
        around = TextSubmitted if isinstance(self.system, AsyncSystem) else TextToLabel
        return around(self.system, self.task)

    def encode(self, indexes: Sequence[int]) -> None:
        """Encode what has not been encoded yet."""
        missing = [index for index in indexes if index not in self.requests]
        if self.kept:
            self.requests.update((index, self.kept[index]) for index in missing)
            return
        encoded = self.system.encode([self.examples[index] for index in missing])
        self.requests.update(zip(missing, encoded, strict=True))

    def calls(self, indexes: Sequence[int]) -> list[Sequence[Any]]:
        """Return what each call asks at this boundary: examples, or requests that are encoded already."""
        source: Any = self.examples if self.boundary == "text" else self.requests
        return self.scenario.calls([source[index] for index in indexes], self.batch)

    def answers(self, predictions: Sequence[Predictions]) -> list[str]:
        """Return one answer per request, in order."""
        return [answer for part in predictions for answer in self._decided(part)]

    def warm(
        self, indexes: Sequence[int], windows: int, clock: Clock, *, exactly: bool, first: bool
    ) -> dict[str, Any]:
        """Answer the very first request alone, then windows of these requests until they take the same time.

        Without `first`, the system has answered before; `exactly` so many windows leave nothing to detect.
        """
        facts: dict[str, Any] = {}
        if first:
            begin = clock()
            self.timed.predict(self.calls(indexes[:1])[0])
            facts["first_request_ns"] = clock() - begin
        calls, timed = self.calls(indexes), self.timed
        warmed = warm_up(lambda: _times(timed, calls, clock), windows, exactly=exactly)
        if len(calls) == len(indexes):
            shapes = [tuple(len(part.ids) for part in self.requests[index].sequences) for index in indexes]
            facts |= first_length_costs(shapes, warmed.window_ns)
        freeze_loaded_objects()
        asked = len(warmed.window_ns) * len(indexes) + int(first)
        return {
            **facts,
            "warmup_requests": asked,
            "windows": len(warmed.window_ns),
            "steady": warmed.steady,
        }

    def visit(self, order: VisitOrder, clocks: Clocks) -> dict[str, Any]:
        """Time a window over the order's examples, and say what was seen."""
        if self.scenario.timed_arrivals:
            return self._offered(order, clocks)
        seen = run_visit(
            self.timed,
            self.calls(order.indexes),
            warmup=self._unrecorded(order),
            clock=clocks.wall,
            cpu_clock=clocks.cpu,
            meter=self.meter,
            window_ns=order.window_ms * 1_000_000,
            counters=self.counters,
        )
        return self._seen(order, seen, seen.passes)

    def _offered(self, order: VisitOrder, clocks: Clocks) -> dict[str, Any]:
        """Time a window in which requests arrive at a rate."""
        once, timed = self.calls(order.indexes), self.timed
        passes = min(
            passes_within(order.window_ms * 1_000_000, len(once), order.rate),
            max(1, CALLS_AT_MOST // len(once)),
        )
        calls = once * passes
        due_ns, span_ns = arrival_times_ns(len(calls), order.rate, order.seed)
        for call in self._unrecorded(order):
            timed.predict(call)
        seen = timed_window(
            lambda: serve_arrivals(timed, calls, due_ns, span_ns, clock=clocks.wall, sleep=clocks.sleep),
            cpu_clock=clocks.cpu,
            meter=self.meter,
            counters=self.counters,
        )
        late = {"late_ns": round(median(seen.late_ns))} if seen.late_ns else {}
        return {**self._seen(order, seen, passes), "offered_ns": span_ns, **late}

    def _unrecorded(self, order: VisitOrder) -> list[Sequence[Any]]:
        """Return the calls before a window: a few requests, and a whole batch at least."""
        return self.calls(order.indexes[: max(order.warmup, self.batch)]) if order.warmup else []

    def _seen(self, order: VisitOrder, seen: Visit, passes: int) -> dict[str, Any]:
        requests = [self.requests[index] for index in order.indexes]
        answers = self.answers(seen.predictions)
        first = answers[: len(requests)]
        changed = {at % len(first) for at, answer in enumerate(answers) if answer != first[at % len(first)]}
        return {
            "requests": passes * len(requests),
            "sequences": passes * sum(len(request.sequences) for request in requests),
            "tokens": passes * sum(request.tokens for request in requests),
            "token_squares": passes * sum(squares(request) for request in requests),
            "passes": passes,
            "wall_ns": seen.wall_ns,
            "cpu_ns": seen.cpu_ns,
            **dict(zip(("cycles", "instructions"), seen.counts, strict=False)),
            "call_ns": list(seen.call_ns),
            "readings": [asdict(reading) for reading in seen.readings],
            "answers": first,
            **({"costs": costs} if (costs := adaptive_costs(seen.predictions, len(requests))) else {}),
            "changed": sorted(order.indexes[at] for at in changed),
        }

    def _decided(self, part: Predictions) -> Sequence[str]:
        return self.task.decide(part.logits, part.offsets) if part.answers is None else part.answers


def squares(request: Request) -> int:
    """Return the pairs of tokens that attention looks at, over all sequences."""
    return sum(len(sequence.ids) ** 2 for sequence in request.sequences)


def _times(system: Timeable[Any], calls: Sequence[Sequence[Any]], clock: Clock) -> tuple[int, ...]:
    """Answer calls and return the nanoseconds of each."""
    edges = []
    for call in calls:
        begin = clock()
        system.predict(call)
        edges.append(clock() - begin)
    return tuple(edges)
