"""One group: its workers, its rounds, its untimed pass. A function of its arguments.

launch 0..L-1:   open each cell's worker, warm it, stop it; before the first round, and after the last, idle
    its rounds:  for each cell, shuffled:  go -> visit -> stop     then one line in the journal
more rounds:     while intervals are wider than was asked
complete:        for each cell:  go -> answer what was not timed -> stop

Rounds are numbered through all launches, so that an interrupted run knows by their numbers what is missing.
What a resumed run adds comes from processes of its own, and is counted as a launch of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any

from harness.analysis.idle_power import why_no_idle_power
from harness.common.errors import BenchError
from harness.common.progress import ProgressReporter, count_up
from harness.measurement.energy.idle import LENGTHS_S, idle_window
from harness.measurement.machine.core_latency import CoreLatencyProbe, NoCoreLatencyProbe
from harness.measurement.machine.interference import UsageSampler, interference_between
from harness.records.cell import Cell
from harness.records.journal import JournalEntry, launches_done, rounds_done
from harness.records.plan import Plan
from harness.runs.execution.memory_budget import MemoryBudget
from harness.runs.execution.rate_search import common_rate
from harness.runs.execution.stopping_rule import STEP, StoppingRule, why_stop, widest_half_width
from harness.runs.execution.workers import WARMUP_REQUESTS, WorkerGroup
from harness.runs.planning.sampling import round_order
from harness.runs.services import Machine
from harness.runs.worker.messages import failure_of
from harness.runs.worker.process import Worker

SHORT = (
    "memory: not all systems fit at once, so each is loaded anew for each visit, which takes longer. "
    "Fewer variants or instances in one run stay loaded."
)
"""Said once, when a group turns out not to fit."""

PROFILED = 16
"""Requests that are answered with an engine's own profiler on: shares need few."""


@dataclass(slots=True)
class Group:
    """The cells that are compared with one another, while they are measured."""

    plan: Plan
    cells: Sequence[Cell]
    artifacts: Mapping[str, Mapping[str, Any]]
    slices: Sequence[Sequence[int]]
    rest: Sequence[int]
    """Examples that no timed pass covers."""
    machine: Machine
    cache: Path
    narrator: ProgressReporter
    append: Callable[[JournalEntry], None]
    done: Sequence[JournalEntry] = ()
    """What the journal holds already, when a run is resumed."""
    room: MemoryBudget | None = None
    """The memory that workers have while all stay loaded; if it is short they are loaded for each visit."""
    resident: bool = True
    """Whether all workers may stay loaded to begin with."""
    rule: StoppingRule | None = None
    """When to stop adding rounds to the profile's; None adds none."""
    _crew: WorkerGroup = field(init=False)
    _journal: list[JournalEntry] = field(init=False)
    _since: int = field(init=False, default=0)
    """When the last round ended or the launch began: starting workers is part of the time it takes."""
    _alive: dict[str, Cell] = field(init=False)
    _look: UsageSampler = field(init=False)
    _exchange: CoreLatencyProbe = field(init=False, default_factory=NoCoreLatencyProbe)

    def __post_init__(self) -> None:
        """Find out who is still to be measured."""
        failed = {entry["cell"] for entry in self.done if entry["kind"] == "failed"}
        able = [cell for cell in self.cells if cell.id not in failed and cell.variant in self.artifacts]
        self._alive = {cell.id: cell for cell in able}
        self._journal = list(self.done)
        sample = sorted({index for part in self.slices for index in part})
        warmup = list(islice(cycle(self.slices[0]), WARMUP_REQUESTS))
        given = (self.plan, self.artifacts, sample, warmup, self.machine, self.cache)
        self._crew = WorkerGroup(*given, resident=self.resident, room=self.room)
        self._look = self.machine.look(self.plan.cpus)

    @property
    def name(self) -> str:
        """The group's id."""
        return self.cells[0].group

    def run(self) -> None:
        """Measure what is missing; a cell that fails is journalled and leaves the others to go on."""
        first = launches_done(self.done, self.name)
        if self._nothing_left():
            return
        if self.plan.device == "cpu":
            self._exchange = self.machine.exchange(self.plan.cpus)
        try:
            for launch, indexes in enumerate(self._missing(), first):
                self._launch(launch)
                if launch == first:
                    self._idle("before")
                self._search()
                self._rounds(indexes, launch)
            self._add_rounds(launch)
            self._idle("after")
            self._complete()
        finally:
            self._crew.end()
            self._exchange.end()

    def _nothing_left(self) -> bool:
        """Say whether all was measured before the run was interrupted, so that nobody need be loaded."""
        answered = {entry["cell"] for entry in self.done if entry["kind"] == "memory"}
        stopped = self.rule is None or any(entry["kind"] == "stopped" for entry in self._own_entries())
        return stopped and self._missing() == [[]] and set(self._alive) <= answered

    def _missing(self) -> list[list[int]]:
        """Return the rounds that are still to come, by launch; workers are needed even where none is."""
        done, profile = rounds_done(self.done, self.name, self._alive), self.plan.profile
        missing = [index for index in range(profile.all_rounds) if index not in done]
        return [list(block) for _, block in groupby(missing, lambda index: index // profile.rounds)] or [[]]

    def _launch(self, launch: int) -> None:
        """Start all workers anew."""
        self._crew.end()
        self._since = self.machine.clock()
        self._open_all(launch)

    def _add_rounds(self, launch: int) -> None:
        """Add rounds until intervals are narrow enough: a few to a single launch, or else whole launches."""
        if self.rule is None or any(entry["kind"] == "stopped" for entry in self._own_entries()):
            return
        profile, group = self.plan.profile, list(self._alive.values())
        while group and not (reason := why_stop(self.rule, self._journal, group)):
            begin = max(rounds_done(self._journal, self.name, ()), default=-1) + 1
            if profile.launches > 1:
                launch += 1
                self._launch(launch)
            self._rounds(range(begin, begin + (STEP if profile.launches == 1 else profile.rounds)), launch)
            group = list(self._alive.values())
        if group:
            self._stopped(reason, group)

    def _stopped(self, reason: str | None, cells: Sequence[Cell]) -> None:
        turns = [entry for entry in self._own_entries() if entry["kind"] == "round"]
        found = {"reason": reason, "rounds": len(turns), "half_width": widest_half_width(turns, cells)}
        for cell in cells:
            self._keep({"kind": "stopped", "cell": cell.id, **found})

    def _own_entries(self) -> list[JournalEntry]:
        own = {self.name, *(cell.id for cell in self.cells)}
        return [entry for entry in self._journal if entry.get("group", entry.get("cell")) in own]

    def _keep(self, entry: JournalEntry) -> None:
        self._journal.append(entry)
        self.append(entry)

    def _open_all(self, launch: int) -> None:
        self.narrator.stage("load and warm up", len(self._alive))
        stay = self._crew.resident
        opened: dict[str, dict[str, Any]] = {}
        for cell in list(self._alive.values()):
            self.narrator.detail(cell.variant)
            if found := self._guarded(cell, partial(self._crew.open, cell)):
                opened[cell.id] = found
            self.narrator.step()
        if stay and not self._crew.resident:
            self.narrator.warn(SHORT)
        most = max((found.get("windows", 0) for found in opened.values()), default=0)
        for cell in list(self._alive.values()):
            if found := self._guarded(cell, partial(self._crew.level, cell, opened[cell.id], most)):
                self._keep({"kind": "opened", "cell": cell.id, "launch": launch, **found})

    def _search(self) -> None:
        """Find the rate that is offered to all, where a promise asks for it; once for all launches."""
        found = {entry["cell"]: entry for entry in self._own_entries() if entry["kind"] == "searched"}
        missing = [cell for cell in self._alive.values() if cell.slo and cell.id not in found]
        if missing:
            self.narrator.stage("find the highest rate", len(missing))
        for cell in missing:
            self.narrator.detail(cell.variant)
            if seen := self._guarded(cell, partial(self._crew.search, cell)):
                found[cell.id] = {"kind": "searched", "cell": cell.id, **seen}
                self._keep(found[cell.id])
            self.narrator.step()
        self._crew.rate = common_rate(found.values())

    def _rounds(self, missing: Sequence[int], launch: int) -> None:
        self.narrator.stage("measure", len(missing) * len(self._alive))
        for index in missing:
            if not self._alive:
                return
            part = index % len(self.slices)
            visits = self._round(index, self.slices[part])
            shared = {"kind": "round", "group": self.name, "index": index, "slice": part, "launch": launch}
            now = self.machine.clock()
            elapsed, self._since = {"elapsed_ns": now - self._since}, now
            self._keep({**shared, **elapsed, "indexes": list(self.slices[part]), "visits": visits})

    def _round(self, index: int, indexes: Sequence[int]) -> dict[str, Any]:
        """Visit every cell once, in this round's shuffled order."""
        visits: dict[str, Any] = {}
        for position, cell_id in enumerate(round_order(list(self._alive), index, self.plan.seed)):
            cell = self._alive[cell_id]
            self.narrator.detail(f"round {index + 1}: {cell.variant}")
            seen = self._guarded(cell, partial(self._visit, cell, indexes, index))
            if seen:
                visits[cell_id] = {"position": position, **seen}
            self.narrator.step()
        return visits

    def _visit(self, cell: Cell, indexes: Sequence[int], index: int) -> dict[str, Any]:
        trip_ns = self._exchange.ask()  # while all are stopped, and before anybody looks
        with self._crew.turn(cell) as worker:
            before = self._look(worker.pid)
            seen = worker.ask("visit", **self._crew.order(cell, indexes, index))
            beside = interference_between(before, self._look(worker.pid))
            return {**seen, **beside, **({} if trip_ns is None else {"exchange_ns": trip_ns})}

    def _idle(self, when: str) -> None:
        """Read the meter while all workers are loaded and stopped, or say why that means nothing."""
        meter = self.machine.open_meter(self.plan.meter) if self.plan.meter else None
        found: dict[str, Any] = {"unavailable": why_no_idle_power(meter, resident=self._crew.resident)}
        if meter and not found["unavailable"]:
            self.narrator.detail("idle")
            lengths = LENGTHS_S.get(self.plan.profile.name, LENGTHS_S["default"])
            found = {"readings": [asdict(one) for one in idle_window(meter, self.machine.sleep, *lengths)]}
        for cell in self._alive.values():
            self._keep({"kind": "idle", "cell": cell.id, "when": when, **found})

    def _complete(self) -> None:
        answered = {entry["cell"] for entry in self.done if entry["kind"] == "memory"}
        missing = [cell for cell in self._alive.values() if cell.id not in answered]
        self.narrator.stage("answer the rest, untimed", max(1, len(missing) * len(self.rest)))
        for cell in missing:
            self.narrator.detail(cell.variant)
            found = self._guarded(cell, partial(self._complete_one, cell))
            if found:  # kept out here: a journal that cannot be written is no failure of the cell
                rest = {"indexes": list(self.rest), **found["answered"]}
                self._keep({"kind": "completed", "cell": cell.id, **rest})
                self._keep({"kind": "memory", "cell": cell.id, **found["memory"]})
                if "operators" in found:
                    self._keep({"kind": "operators", "cell": cell.id, **found["operators"]})

    def _complete_one(self, cell: Cell) -> dict[str, Any]:
        with self._crew.turn(cell) as worker:
            answered = worker.ask("complete", count_up(self.narrator), indexes=list(self.rest))
            # a program from file to file is gone by now: its worker has watched it while it ran
            memory = answered.pop("memory") if "memory" in answered else self._memory(worker.pid)
            # last: a profiled engine is loaded beside the one whose memory was just read
            more = {"operators": self._profiled(worker)} if self.plan.roofline else {}
        return {"answered": answered, "memory": memory, **more}

    def _profiled(self, worker: Worker) -> dict[str, Any]:
        return worker.ask("profile", indexes=list(self.slices[0])[:PROFILED])

    def _memory(self, pid: int) -> dict[str, Any]:
        return self.machine.memory(pid).model_dump()

    def _guarded(self, cell: Cell, work: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """Do the work; if it fails, journal why, end the cell's worker, and go on without it."""
        try:
            return work()
        except BenchError as problem:
            self._keep({"kind": "failed", "cell": cell.id, "failure": failure_of(problem)})
            self.narrator.warn(f"{cell.variant} failed: {problem}")
            self._crew.lose(cell)
            del self._alive[cell.id]
            return None
