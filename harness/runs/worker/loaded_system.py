"""A system that is loaded, and what a worker does with it: warm it up, time a visit, answer the rest.

VisitRequest --calls--> timed window (`harness.measurement.timing`) --> VisitResult
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Literal

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
from harness.records.facts import TextLoss, Traffic
from harness.records.journal_entries import VisitResult, WarmResult
from harness.runs.worker.messages import VisitRequest, WarmRequest
from harness.systems.interface import (
    AsyncSystem,
    NetworkSystem,
    OnAnswer,
    Predictions,
    Request,
    System,
    require_finite,
)
from harness.workload.scenarios.base import Scenario
from harness.workload.scenarios.server import arrival_times_ns, passes_within
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

_TEXTS: tuple[Literal["first", "second"], ...] = ("first", "second")

Call = Sequence[Any]
"""What one call gets: requests at boundary `encoded`, examples at boundary `text`."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic nanoseconds, CPU nanoseconds of this process and its children, and how to sleep.

    `counters` opens the counters of cycles and instructions of this process and all that it starts from then
    on.
    """

    wall: Clock = time.perf_counter_ns
    cpu: Clock = field(default_factory=TreeCpuTime)
    sleep: Sleep = sleep_ns
    counters: Callable[[], WorkCounters] = open_work_counters


class TextToLabel:
    """A system with everything from text to label around it: what is timed at boundary `text`."""

    def __init__(self, system: System, task: Task) -> None:
        self._system = system
        self._task = task

    def predict(self, examples: Sequence[Example], /) -> Predictions:
        """Encode the examples, answer them and decide on labels."""
        return self.with_labels(self._system.predict(self._system.encode(examples)))

    def with_labels(self, predictions: Predictions) -> Predictions:
        """Return the predictions with a label for each request; an external program has decided already."""
        if predictions.answers is not None:
            return predictions
        labels = self._task.decide(predictions.logits, predictions.offsets)
        return replace(predictions, answers=tuple(labels))


class AsyncTextToLabel(TextToLabel):
    """The same around a system that takes submitted requests."""

    def submit(self, examples: Sequence[Example], done: OnAnswer) -> None:
        """Encode and submit the examples; decide on labels when the answer arrives."""

        def answered(answer: Predictions | Exception) -> None:
            done(answer if isinstance(answer, Exception) else self.with_labels(answer))

        system: Any = self._system
        system.submit(system.encode(examples), answered)


@dataclass(slots=True)
class LoadedSystem:
    """A system that is loaded, with the examples of its split and those of them that are encoded.

    `cached` holds the whole split as it was encoded before, where the cache has it.
    """

    task: Task
    system: System
    scenario: Scenario
    boundary: str
    examples: Sequence[Example]
    meter: Meter | None
    batch: int = 1
    counters: WorkCounters = field(default_factory=WorkCounters)
    cached: Sequence[Request] = ()
    requests: dict[int, Request] = field(default_factory=dict)

    @property
    def timed(self) -> Timeable[Any]:
        """What the clock includes: the system, or everything from text to label."""
        if self.boundary != "text":
            return self.system
        around = AsyncTextToLabel if isinstance(self.system, AsyncSystem) else TextToLabel
        return around(self.system, self.task)

    def encode(self, indexes: Sequence[int]) -> None:
        """Encode the examples that are not encoded yet."""
        missing = [index for index in indexes if index not in self.requests]
        if self.cached:
            self.requests.update((index, self.cached[index]) for index in missing)
            return
        encoded = self.system.encode([self.examples[index] for index in missing])
        self.requests.update(zip(missing, encoded, strict=True))

    def calls(self, indexes: Sequence[int]) -> list[Call]:
        """Return the calls of the scenario over these examples, as this boundary passes them on."""
        source: Any = self.examples if self.boundary == "text" else self.requests
        return self.scenario.calls([source[index] for index in indexes], self.batch)

    def answers(self, predictions: Sequence[Predictions]) -> list[str]:
        """Return one answer for each request, in order; MeasurementError for logits that are not finite."""
        for part in predictions:
            require_finite(part.logits)
        return [answer for part in predictions for answer in self._labels(part)]

    def warm(self, request: WarmRequest, clock: Clock) -> WarmResult:
        """Answer the very first request alone, then windows of these requests until they take the same time.

        Without `first`, the system has answered before. With `exactly`, steadiness is not looked for.
        MeasurementError if the logits of the first answer are not finite.
        """
        calls, timed, indexes = self.calls(request.indexes), self.timed, request.indexes
        first_request_ns = None
        self.refresh()
        if request.first:
            begin = clock()
            first = timed.predict(self.calls(indexes[:1])[0])
            first_request_ns = clock() - begin
            require_finite(first.logits)
        warmed = warm_up(lambda: _call_times(timed, calls, clock), request.windows, exactly=request.exactly)
        lengths = {}
        if len(calls) == len(indexes):
            shapes = [tuple(len(part.ids) for part in self.requests[index].sequences) for index in indexes]
            lengths = first_length_costs(shapes, warmed.window_ns)
        freeze_loaded_objects()
        return WarmResult(
            warmup_requests=len(warmed.window_ns) * len(indexes) + int(request.first),
            windows=len(warmed.window_ns),
            steady=warmed.steady,
            first_request_ns=first_request_ns,
            **lengths,
        )

    def visit(self, request: VisitRequest, clocks: Clocks) -> VisitResult:
        """Time one window over the examples of the request."""
        if self.scenario.timed_arrivals:
            return self._visit_at_rate(request, clocks)
        self._prepare_window(request)
        visit = run_visit(
            self.timed,
            self.calls(request.indexes),
            warmup=(),
            clock=clocks.wall,
            cpu_clock=clocks.cpu,
            meter=self.meter,
            window_ns=request.window_ms * 1_000_000,
            counters=self.counters,
        )
        return self._result(request, visit, visit.passes)

    def _visit_at_rate(self, request: VisitRequest, clocks: Clocks) -> VisitResult:
        """Time a window in which requests arrive at a rate."""
        once, timed = self.calls(request.indexes), self.timed
        passes = min(
            passes_within(request.window_ms * 1_000_000, len(once), request.rate),
            max(1, CALLS_AT_MOST // len(once)),
        )
        calls = once * passes
        due_ns, span_ns = arrival_times_ns(len(calls), request.rate, request.seed)
        self._prepare_window(request)
        visit = timed_window(
            lambda: serve_arrivals(timed, calls, due_ns, span_ns, clock=clocks.wall, sleep=clocks.sleep),
            cpu_clock=clocks.cpu,
            meter=self.meter,
            counters=self.counters,
        )
        late_ns = round(median(visit.late_ns)) if visit.late_ns else None
        return replace(self._result(request, visit, passes), offered_ns=span_ns, late_ns=late_ns)

    def _prepare_window(self, request: VisitRequest) -> None:
        """Make the calls before a window, which are not recorded: a few, and a whole batch at least."""
        self.refresh()
        if request.warmup:
            timed = self.timed
            for call in self.calls(request.indexes[: max(request.warmup, self.batch)]):
                timed.predict(call)
        if isinstance(self.system, NetworkSystem):
            self.system.traffic()  # what the window transfers is counted from here on

    def refresh(self) -> None:
        """Replace connections that a server closed while this worker was stopped, or is about to close."""
        if isinstance(self.system, NetworkSystem):
            self.system.refresh()

    def _traffic(self) -> Traffic | None:
        if not isinstance(self.system, NetworkSystem):
            return None
        return Traffic.model_validate(self.system.traffic())

    def _result(self, request: VisitRequest, visit: Visit, passes: int) -> VisitResult:
        traffic = self._traffic()
        requests = [self.requests[index] for index in request.indexes]
        answers = self.answers(visit.predictions)
        count = len(requests)
        changed = {at % count for at, answer in enumerate(answers) if answer != answers[at % count]}
        cycles, instructions = visit.counts or (None, None)
        return VisitResult(
            requests=passes * count,
            sequences=passes * sum(len(encoded.sequences) for encoded in requests),
            tokens=passes * sum(encoded.tokens for encoded in requests),
            token_squares=passes * sum(map(token_squares, requests)),
            passes=passes,
            wall_ns=visit.wall_ns,
            cpu_ns=visit.cpu_ns,
            cycles=cycles,
            instructions=instructions,
            call_ns=visit.call_ns,
            gap_ns=visit.gap_ns,
            readings=visit.readings,
            answers=answers[:count],
            costs=adaptive_costs(visit.predictions, count),
            changed=sorted(request.indexes[at] for at in changed),
            traffic=traffic,
        )

    def _labels(self, part: Predictions) -> Sequence[str]:
        return self.task.decide(part.logits, part.offsets) if part.answers is None else part.answers


def token_squares(request: Request) -> int:
    """Return the pairs of tokens that attention compares, over all sequences."""
    return sum(len(sequence.ids) ** 2 for sequence in request.sequences)


def _call_times(system: Timeable[Any], calls: Sequence[Call], clock: Clock) -> tuple[int, ...]:
    """Answer the calls and return the nanoseconds of each."""
    spans = []
    for call in calls:
        begin = clock()
        system.predict(call)
        spans.append(clock() - begin)
    return tuple(spans)


def text_losses(requests: Collection[Request]) -> tuple[TextLoss, ...]:
    """Return what the first texts and the second ones lost, for each that lost anything.

    An example with several sequences counts once for each text, with the largest share that one of them lost.
    """
    losses = []
    for place, text in enumerate(_TEXTS):
        cuts = [cut for request in requests if (cut := list(_cuts(request, place)))]
        if cuts:
            most = max(lost / size for cut in cuts for size, lost in cut)
            tokens = sum(lost for cut in cuts for _, lost in cut)
            losses.append(TextLoss(text=text, examples=len(cuts), tokens=tokens, most=round(most, 4)))
    return tuple(losses)


def _cuts(request: Request, place: int) -> Iterator[tuple[int, int]]:
    """Yield the tokens before truncation and those removed, of each text in this place that was cut."""
    for sequence in request.sequences:
        if sequence.losses:
            size, lost = sequence.losses[2 * place : 2 * place + 2]
            if lost:
                yield size, lost
