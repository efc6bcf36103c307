"""One group: its workers, its rounds, its untimed pass. A function of its arguments.

open each cell's worker, warm it, stop it
round 0..R-1:  for each cell, shuffled:  go -> visit -> stop     then one line in the journal
complete:      for each cell:  go -> answer what was not timed -> stop
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from harness.errors import BenchError
from harness.sweep.cells import Cell
from harness.sweep.crew import WARMUP_REQUESTS, Crew
from harness.sweep.journal import Entry, launches, rounds_done
from harness.sweep.machine import Machine
from harness.sweep.narrator import Narrator, count_up
from harness.sweep.plan import Plan
from harness.sweep.slices import round_order
from harness.sweep.wire import failure_of


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
    narrator: Narrator
    append: Callable[[Entry], None]
    done: Sequence[Entry] = ()
    """What the journal holds already, when a run is resumed."""
    resident: bool = True
    """Whether all workers stay loaded; where memory is short they are loaded for each visit."""
    _crew: Crew = field(init=False)
    _alive: dict[str, Cell] = field(init=False)

    def __post_init__(self) -> None:
        """Find out who is still to be measured."""
        failed = {entry["cell"] for entry in self.done if entry["kind"] == "failed"}
        able = [cell for cell in self.cells if cell.id not in failed and cell.variant in self.artifacts]
        self._alive = {cell.id: cell for cell in able}
        sample = sorted({index for part in self.slices for index in part})
        warmup = list(islice(cycle(self.slices[0]), WARMUP_REQUESTS))
        self._crew = Crew(self.plan, self.artifacts, sample, warmup, self.machine, self.cache, self.resident)

    @property
    def name(self) -> str:
        """The group's id."""
        return self.cells[0].group

    def run(self) -> None:
        """Measure what is missing; a cell that fails is journalled and leaves the others to go on."""
        launch = launches(self.done, self.name)
        done = rounds_done(self.done, self.name, self._alive)
        missing = [index for index in range(self.plan.profile.rounds) if index not in done]
        try:
            self._open_all(launch)
            self._rounds(missing, launch)
            self._complete()
        finally:
            self._crew.end()

    def _open_all(self, launch: int) -> None:
        self.narrator.stage("load and warm up", len(self._alive))
        for cell in list(self._alive.values()):
            self.narrator.detail(cell.variant)
            opened = self._guarded(cell, partial(self._crew.open, cell))
            if opened:
                self.append({"kind": "opened", "cell": cell.id, "launch": launch, **opened})
            self.narrator.step()

    def _rounds(self, missing: Sequence[int], launch: int) -> None:
        self.narrator.stage("measure", len(missing) * len(self._alive))
        for index in missing:
            if not self._alive:
                return
            part = index % len(self.slices)
            visits = self._round(index, self.slices[part])
            shared = {"kind": "round", "group": self.name, "index": index, "slice": part, "launch": launch}
            self.append({**shared, "indexes": list(self.slices[part]), "visits": visits})

    def _round(self, index: int, indexes: Sequence[int]) -> dict[str, Any]:
        """Visit every cell once, in this round's shuffled order."""
        visits: dict[str, Any] = {}
        for position, cell_id in enumerate(round_order(list(self._alive), index, self.plan.seed)):
            cell = self._alive[cell_id]
            self.narrator.detail(f"round {index + 1}: {cell.variant}")
            seen = self._guarded(cell, partial(self._visit, cell, indexes))
            if seen:
                visits[cell_id] = {"position": position, **seen}
            self.narrator.step()
        return visits

    def _visit(self, cell: Cell, indexes: Sequence[int]) -> dict[str, Any]:
        with self._crew.turn(cell) as worker:
            return worker.ask("visit", indexes=list(indexes), warmup=self.plan.profile.warmup)

    def _complete(self) -> None:
        answered = {entry["cell"] for entry in self.done if entry["kind"] == "memory"}
        missing = [cell for cell in self._alive.values() if cell.id not in answered]
        self.narrator.stage("answer the rest, untimed", max(1, len(missing) * len(self.rest)))
        for cell in missing:
            self.narrator.detail(cell.variant)
            self._guarded(cell, partial(self._complete_one, cell))

    def _complete_one(self, cell: Cell) -> None:
        with self._crew.turn(cell) as worker:
            answered = worker.ask("complete", count_up(self.narrator), indexes=list(self.rest))
            # a program from file to file is gone by now: its worker has watched it while it ran
            memory = answered.pop("memory") if "memory" in answered else self._memory(worker.pid)
        self.append({"kind": "completed", "cell": cell.id, "indexes": list(self.rest), **answered})
        self.append({"kind": "memory", "cell": cell.id, **memory})

    def _memory(self, pid: int) -> dict[str, Any]:
        return self.machine.memory(pid).model_dump()

    def _guarded(self, cell: Cell, work: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """Do the work; if it fails, journal why, end the cell's worker, and go on without it."""
        try:
            return work()
        except BenchError as problem:
            self.append({"kind": "failed", "cell": cell.id, "failure": failure_of(problem)})
            self.narrator.warn(f"{cell.variant} failed: {problem}")
            self._crew.lose(cell)
            del self._alive[cell.id]
            return None
