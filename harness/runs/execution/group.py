"""One group: its workers, its rounds, its untimed pass. A function of its arguments.

launch 0..L-1:   open each cell's worker, warm it, stop it; before the first round, and after the last, idle
    its rounds:  for each cell, shuffled:  resume -> visit -> stop     then one line in the journal
more rounds:     while intervals are wider than requested
complete:        for each cell:  resume -> answer what was not timed -> stop

Rounds are numbered through all launches, so the numbers in the journal show what an interrupted run lacks.
What a resumed run adds comes from processes of its own, and is counted as a launch of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Literal, TypeVar

from harness.analysis.energy.idle_power import why_no_idle_power
from harness.common.errors import BenchError
from harness.common.json_codec import extended
from harness.common.progress import LOADING_QUIET_S, TIMED, ProgressReporter, count_up
from harness.measurement.energy.idle import LENGTHS_S, idle_window
from harness.measurement.machine.core_latency import CoreLatencyProbe, NoCoreLatencyProbe
from harness.measurement.machine.interference import UsageSample, UsageSampler, interference_between
from harness.measurement.machine.outside import OutsideProcesses
from harness.records.cell import Cell, round_order
from harness.records.journal import launches_done, rounds_done, rounds_of
from harness.records.journal_entries import (
    CompletedEntry,
    FailedEntry,
    IdleEntry,
    JournalEntry,
    MemoryEntry,
    OpenedEntry,
    Opening,
    OperatorsEntry,
    OperatorTimes,
    PeakMemory,
    RoundEntry,
    SearchedEntry,
    StoppedEntry,
    VisitEntry,
)
from harness.records.plan import Plan
from harness.runs.execution.memory_budget import MemoryBudget
from harness.runs.execution.rate_search import common_rate
from harness.runs.execution.stopping_rule import STEP, StoppingRule, why_stop, widest_half_width
from harness.runs.execution.workers import WARMUP_REQUESTS, WorkerGroup
from harness.runs.services import Machine
from harness.runs.worker.messages import (
    CompleteRequest,
    CompleteResult,
    PreparedArtifact,
    ProfileRequest,
    failure_of,
)
from harness.runs.worker.process import Worker

T = TypeVar("T")

NOT_RESIDENT = (
    "memory: not all systems fit at once, so each is loaded anew for each visit, which takes longer. "
    "Fewer variants or instances in one run stay loaded."
)
"""The warning, once, when a group does not fit."""

PROFILED = 16
"""Requests that are answered with an engine's own profiler on: shares need few."""


@dataclass(slots=True)
class Group:
    """The cells that are compared with one another, while they are measured.

    `rest` holds the examples that no timed pass covers; `done` what the journal holds already, when a run is
    resumed; `append` writes a journal entry.
    """

    plan: Plan
    cells: Sequence[Cell]
    artifacts: Mapping[str, PreparedArtifact]
    slices: Sequence[Sequence[int]]
    rest: Sequence[int]
    machine: Machine
    cache: Path
    narrator: ProgressReporter
    append: Callable[[JournalEntry], None]
    done: Sequence[JournalEntry] = ()
    budget: MemoryBudget | None = None
    """The memory of all workers while they stay loaded; beyond it they are loaded for each visit."""
    resident: bool = True
    """Whether all workers may stay loaded to begin with."""
    rule: StoppingRule | None = None
    """When to stop adding rounds to the profile's; None adds none."""
    _workers: WorkerGroup = field(init=False)
    _journal: list[JournalEntry] = field(init=False)
    _since_ns: int = field(init=False, default=0)
    """When the last round ended or the launch began: starting workers is part of the time it takes."""
    _alive: dict[str, Cell] = field(init=False)
    """The cells that have not failed, by id."""
    _sample_usage: UsageSampler = field(init=False)
    _core_latency: CoreLatencyProbe = field(init=False, default_factory=NoCoreLatencyProbe)

    def __post_init__(self) -> None:
        """Find the cells that are still to be measured."""
        failed = {entry.cell for entry in self.done if isinstance(entry, FailedEntry)}
        self._alive = {
            cell.id: cell for cell in self.cells if cell.id not in failed and cell.variant in self.artifacts
        }
        self._journal = list(self.done)
        self._workers = WorkerGroup(
            self.plan,
            self.artifacts,
            sample=sorted({index for part in self.slices for index in part}),
            warmup=list(islice(cycle(self.slices[0]), WARMUP_REQUESTS)),
            machine=self.machine,
            cache=self.cache,
            resident=self.resident,
            budget=self.budget,
        )
        self._sample_usage = self.machine.usage_sampler(self.plan.cpus)

    @property
    def name(self) -> str:
        """The group's id."""
        return self.cells[0].group

    def run(self) -> None:
        """Measure what is missing; a cell that fails is journalled and leaves the others to go on."""
        first = launches_done(self.done, self.name)
        if self._is_finished():
            return
        if self.plan.device == "cpu":
            self._core_latency = self.machine.core_latency_probe(self.plan.cpus)
        try:
            for launch, indexes in enumerate(self._missing_rounds(), first):
                self._launch(launch)
                if launch == first:
                    self._idle("before")
                self._search_rates()
                self._rounds(indexes, launch)
            self._add_rounds(launch)
            self._idle("after")
            self._complete()
        finally:
            self.narrator.finish()
            self._workers.end()
            self._core_latency.close()

    def _is_finished(self) -> bool:
        """Whether all was measured before the run was interrupted, so that no worker need be loaded."""
        stopped = self.rule is None or self._has_stopped()
        return stopped and self._missing_rounds() == [[]] and set(self._alive) <= self._completed()

    def _completed(self) -> set[str]:
        return {entry.cell for entry in self.done if isinstance(entry, MemoryEntry)}

    def _has_stopped(self) -> bool:
        cells = {cell.id for cell in self.cells}
        return any(isinstance(entry, StoppedEntry) and entry.cell in cells for entry in self._journal)

    def _missing_rounds(self) -> list[list[int]]:
        """Return the rounds that are still to come, by launch; one empty launch where none is."""
        done, profile = rounds_done(self.done, self.name, self._alive), self.plan.profile
        missing = [index for index in range(profile.all_rounds) if index not in done]
        return [list(block) for _, block in groupby(missing, lambda index: index // profile.rounds)] or [[]]

    def _launch(self, launch: int) -> None:
        """Start all workers anew."""
        self._workers.end()
        self._since_ns = self.machine.clock()
        self._open_all(launch)

    def _add_rounds(self, launch: int) -> None:
        """Add rounds until intervals are narrow enough: a few to a single launch, or else whole launches."""
        if self.rule is None or self._has_stopped():
            return
        profile, cells = self.plan.profile, list(self._alive.values())
        while cells and not (reason := why_stop(self.rule, self._journal, cells)):
            begin = max(rounds_done(self._journal, self.name, ()), default=-1) + 1
            if profile.launches > 1:
                launch += 1
                self._launch(launch)
            self._rounds(range(begin, begin + (STEP if profile.launches == 1 else profile.rounds)), launch)
            cells = list(self._alive.values())
        if cells and reason:
            rounds = rounds_of(self._journal, self.name)
            width = widest_half_width(rounds, cells)
            for cell in cells:
                self._keep(StoppedEntry(cell=cell.id, reason=reason, rounds=len(rounds), half_width=width))

    def _keep(self, entry: JournalEntry) -> None:
        self._journal.append(entry)
        self.append(entry)

    def _open_all(self, launch: int) -> None:
        self.narrator.stage("load and warm up", 2 * len(self._alive), quiet_s=LOADING_QUIET_S)
        was_resident = self._workers.resident
        openings: dict[str, Opening] = {}
        for cell in list(self._alive.values()):
            self.narrator.detail(cell.variant)
            if opening := self._guarded(cell, partial(self._workers.open, cell)):
                openings[cell.id] = opening
            self.narrator.step()
        if was_resident and not self._workers.resident:
            self.narrator.warn(NOT_RESIDENT)
        windows = max((opening.windows or 0 for opening in openings.values()), default=0)
        for cell in list(self._alive.values()):
            self.narrator.detail(f"{cell.variant}: same warm-up")
            equalise = partial(self._workers.equalise_warmup, cell, openings[cell.id], windows)
            if opening := self._guarded(cell, equalise):
                self._keep(extended(OpenedEntry, opening, cell=cell.id, launch=launch))
            self.narrator.step()

    def _search_rates(self) -> None:
        """Find the rate that is offered to all, where an SLO needs one; once for all launches."""
        cells = {cell.id for cell in self.cells}
        searches = {
            entry.cell: entry
            for entry in self._journal
            if isinstance(entry, SearchedEntry) and entry.cell in cells
        }
        missing = [cell for cell in self._alive.values() if cell.slo and cell.id not in searches]
        if missing:
            self.narrator.stage("find the highest rate", len(missing), quiet_s=TIMED)
        for cell in missing:
            self.narrator.detail(cell.variant)
            if result := self._guarded(cell, partial(self._workers.search, cell)):
                searches[cell.id] = extended(SearchedEntry, result, cell=cell.id)
                self._keep(searches[cell.id])
            self.narrator.step()
        self._workers.rate = common_rate(searches.values())

    def _rounds(self, indexes: Sequence[int], launch: int) -> None:
        self.narrator.stage("measure", len(indexes) * len(self._alive), quiet_s=TIMED)
        for index in indexes:
            if not self._alive:
                return
            slice_index = index % len(self.slices)
            examples = self.slices[slice_index]
            visits = self._round(index, examples)
            now_ns = self.machine.clock()
            elapsed_ns, self._since_ns = now_ns - self._since_ns, now_ns
            self._keep(
                RoundEntry(
                    group=self.name,
                    index=index,
                    slice=slice_index,
                    launch=launch,
                    elapsed_ns=elapsed_ns,
                    indexes=list(examples),
                    visits=visits,
                )
            )

    def _round(self, index: int, examples: Sequence[int]) -> dict[str, VisitEntry]:
        """Visit every cell once, in this round's shuffled order."""
        visits: dict[str, VisitEntry] = {}
        for position, cell_id in enumerate(round_order(list(self._alive), index, self.plan.seed)):
            cell = self._alive[cell_id]
            self.narrator.detail(f"round {index + 1}: {cell.variant}")
            visit = self._guarded(cell, partial(self._visit, cell, examples, index, position))
            if visit:
                visits[cell_id] = visit
            self.narrator.step()
        return visits

    def _visit(self, cell: Cell, examples: Sequence[int], index: int, position: int) -> VisitEntry:
        exchange_ns = (
            self._core_latency.measure()
        )  # while all workers are stopped, and nothing is watched yet
        with self._workers.turn(cell) as worker:
            before = self._sampled(cell, worker)
            result = worker.send(self._workers.visit_request(cell, examples, index))
            after = self._sampled(cell, worker)
        observed = interference_between(before, after)
        return extended(VisitEntry, result, position=position, exchange_ns=exchange_ns, **observed)

    def _sampled(self, cell: Cell, worker: Worker) -> UsageSample:
        """Return the CPU use now; that of a server whose processes the user named is not foreign."""
        sample, server = self._sample_usage(worker.pid), self.plan.server(cell.variant)
        if server is None or not (server.pid or server.cgroup):
            return sample
        outside_ns = OutsideProcesses(server.pid, server.cgroup).cpu_ns()
        return replace(sample, worker_ns=sample.worker_ns + outside_ns)

    def _idle(self, when: Literal["before", "after"]) -> None:
        """Read the meter while all workers are loaded and stopped, or keep why that means nothing."""
        meter = self.machine.open_meter(self.plan.meter) if self.plan.meter else None
        unavailable = why_no_idle_power(meter, resident=self._workers.resident)
        readings = []
        if meter and not unavailable:
            self.narrator.stage("read the idle power", 1, quiet_s=TIMED)
            lengths = LENGTHS_S.get(self.plan.profile.name, LENGTHS_S["default"])
            readings = idle_window(meter, self.machine.sleep, *lengths)
            self.narrator.step()
        for cell in self._alive.values():
            self._keep(IdleEntry(cell=cell.id, when=when, readings=readings, unavailable=unavailable))

    def _complete(self) -> None:
        completed = self._completed()
        missing = [cell for cell in self._alive.values() if cell.id not in completed]
        self.narrator.stage("answer the rest, untimed", max(1, len(missing) * len(self.rest)))
        for cell in missing:
            self.narrator.detail(cell.variant)
            completion = self._guarded(cell, partial(self._complete_cell, cell))
            if completion is None:
                continue
            # kept out here: a journal that cannot be written is not a failure of the cell
            result, memory, operators = completion
            self._keep(
                CompletedEntry(
                    cell=cell.id,
                    indexes=list(self.rest),
                    answers=result.answers,
                    truncated=result.truncated,
                    losses=result.losses,
                )
            )
            self._keep(extended(MemoryEntry, memory, cell=cell.id))
            if operators:
                self._keep(extended(OperatorsEntry, operators, cell=cell.id))

    def _complete_cell(self, cell: Cell) -> tuple[CompleteResult, PeakMemory, OperatorTimes | None]:
        with self._workers.turn(cell) as worker:
            result = worker.send(CompleteRequest(self.rest), count_up(self.narrator))
            # a program from file to file has ended by now: its worker has sampled its memory
            memory = result.memory or self._memory(worker)
            # last: a profiled engine is loaded beside the one whose memory was just read
            profile = ProfileRequest(self.slices[0][:PROFILED])
            operators = worker.send(profile) if self.plan.roofline else None
        return result, memory, operators

    def _memory(self, worker: Worker) -> PeakMemory:
        peak = self.machine.memory(worker.pid)
        return PeakMemory(peak_bytes=peak.peak_bytes, counted_as=peak.counted_as)

    def _guarded(self, cell: Cell, work: Callable[[], T]) -> T | None:
        """Do the work; if it fails, journal why, end the cell's worker, and go on without it."""
        try:
            return work()
        except BenchError as problem:
            self._keep(FailedEntry(cell=cell.id, failure=failure_of(problem)))
            self.narrator.warn(f"{cell.variant} failed: {problem}")
            self._workers.drop(cell)
            del self._alive[cell.id]
            return None
