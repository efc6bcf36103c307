"""The workers of one group: opened once each, stopped but for their own turn.

Where the group does not fit into memory, workers are loaded for each visit and ended after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from harness.records.cell import Cell
from harness.records.plan import Plan
from harness.records.side import without_side
from harness.runs.execution.memory_budget import MemoryBudget
from harness.runs.execution.rate_search import search
from harness.runs.planning.schedule import placement, settings
from harness.runs.planning.slo import parse
from harness.runs.services import Machine
from harness.runs.worker.process import Worker
from harness.systems.artifact_cache import folder_bytes

WARMUP_REQUESTS = 16
"""Requests of one window of warming up: enough lengths for allocators and pools to settle on this group's."""


@dataclass(slots=True)
class WorkerGroup:
    """Who answers for the cells of a group."""

    plan: Plan
    artifacts: Mapping[str, Mapping[str, Any]]
    sample: Sequence[int]
    warmup: Sequence[int]
    machine: Machine
    cache: Path
    """Where encoded splits are kept."""
    resident: bool = True
    """Whether workers stay loaded between visits."""
    windows: int | None = None
    """How many windows of requests warm every system up, once the group knows what its slowest needs."""
    room: MemoryBudget | None = None
    """The memory that all have together while they stay loaded; None where none is counted."""
    rate: float = 0.0
    """Requests per second that all systems are offered, once a search has found what all can bear."""
    workers: dict[str, Worker] = field(default_factory=dict)

    def open(self, cell: Cell) -> dict[str, Any]:
        """Load and warm up a cell's worker, let it rest, and say how loading went.

        The first for which there is no room beside those that are loaded ends these; from then on none stays.
        """
        if self.resident and not self._has_room(cell):
            self.end()
            self.resident = False
        opened = self._load(cell)
        self._rest(cell)
        return opened

    def level(self, cell: Cell, opened: Mapping[str, Any], windows: int) -> dict[str, Any]:
        """Warm a cell's worker up to as many windows as any of the group needed; return what is true then."""
        self.windows = windows
        opened = {**opened, "loaded_per_visit": not self.resident}
        missing = windows - opened.get("windows", windows)  # a program from file to file starts cold
        if missing <= 0:
            return opened
        indexes = self._warmed_on(cell)
        if self.resident:
            with self.turn(cell) as worker:
                worker.ask("warm", indexes=indexes, windows=missing, exactly=True, first=False)
        requests = opened["warmup_requests"] + missing * len(indexes)
        return {**opened, "warmup_requests": requests, "windows": windows}

    def order(self, cell: Cell, indexes: Sequence[int], turn: int) -> dict[str, Any]:
        """Return what a visit in round `turn` asks of a worker."""
        profile = self.plan.profile
        window = {"indexes": list(indexes), "warmup": profile.warmup, "window_ms": profile.window_ms}
        return {**window, "rate": cell.rate or self.rate, "seed": f"{self.plan.seed} {turn}"}

    def search(self, cell: Cell) -> dict[str, Any]:
        """Find the highest rate at which a cell keeps the plan's promise, over the whole sample."""
        with self.turn(cell) as worker:

            def visit(rate: float, seed: str) -> dict[str, Any]:
                warmup, indexes = self.plan.profile.warmup, list(self.sample)
                return worker.ask("visit", indexes=indexes, warmup=warmup, rate=rate, seed=seed)

            return search(visit, parse(cell.slo), self.plan.seed)

    @contextmanager
    def turn(self, cell: Cell) -> Iterator[Worker]:
        """Let one worker run while all others are stopped."""
        if cell.id not in self.workers:
            self._load(cell)
        worker = self.workers[cell.id]
        worker.go()
        yield worker
        self._rest(cell)

    def lose(self, cell: Cell) -> None:
        """End the worker of a cell that failed."""
        worker = self.workers.pop(cell.id, None)
        if worker:
            worker.end()

    def end(self) -> None:
        """End everybody."""
        for worker in self.workers.values():
            worker.end()
        self.workers.clear()
        self.windows = None

    def _has_room(self, cell: Cell) -> bool:
        if self.room is None:
            return True
        held = [self.machine.held_bytes(worker.pid) for worker in self.workers.values()]
        return self.room.fits(
            held, folder_bytes(Path(self.artifacts[cell.variant]["folder"])), cell.instances
        )

    def _load(self, cell: Cell) -> dict[str, Any]:
        launch = self.machine.launch_of(self.plan.side(cell.variant), self.plan.environment(cell.variant))
        worker = launch(self.plan.cpus, cell.threads)
        self.workers[cell.id] = worker
        opened = worker.ask("open", sample=list(self.sample), **self._opening(cell))
        exactly = self.windows is not None
        windows = self.windows or self.plan.profile.warm_windows
        return opened | worker.ask("warm", indexes=self._warmed_on(cell), windows=windows, exactly=exactly)

    def _warmed_on(self, cell: Cell) -> list[int]:
        """Return the requests of a window of warming up: a whole batch at least."""
        return list(islice(cycle(self.warmup), max(len(self.warmup), cell.batch)))

    def _rest(self, cell: Cell) -> None:
        if self.resident:
            self.workers[cell.id].stop()
        else:
            self.lose(cell)

    def _opening(self, cell: Cell) -> dict[str, Any]:
        return {
            "task": self.plan.task_words,
            "variant": without_side(cell.variant),
            "rung": self.plan.rung_words(cell.variant),
            "scenario": cell.scenario,
            "boundary": cell.boundary,
            "data": self.plan.data.model_dump(),
            "artifact": self.artifacts[cell.variant],
            "settings": settings(self.plan, cell.batch),
            "placement": placement(self.plan, cell.variant),
            "meter": self.plan.meter,
            "cache": str(self.plan.cache_of(cell.variant, self.cache)),
        }
