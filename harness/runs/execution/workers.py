"""The workers of one group: each opened once, and stopped except for its own turn.

Where the group does not fit into memory, workers are loaded for each visit and ended after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path

from harness.common.json_codec import extended
from harness.records.cell import Cell
from harness.records.journal_entries import Opening, RateSearch, VisitResult
from harness.records.plan import Plan
from harness.records.side import without_side
from harness.runs.execution.memory_budget import MemoryBudget
from harness.runs.execution.rate_search import search
from harness.runs.planning.schedule import placement, settings
from harness.runs.planning.slo import parse
from harness.runs.services import Machine
from harness.runs.worker.messages import OpenRequest, PreparedArtifact, VisitRequest, WarmRequest
from harness.runs.worker.process import Worker
from harness.systems.artifact_cache import folder_bytes

WARMUP_REQUESTS = 16
"""Requests of one window of warming up: enough lengths for allocators and pools to settle on this group's."""


@dataclass(slots=True)
class WorkerGroup:
    """The workers of a group's cells.

    `sample` holds the indexes of all timed examples, `warmup` those of one window of warming up. `cache` is
    where encoded splits are kept.
    """

    plan: Plan
    artifacts: Mapping[str, PreparedArtifact]
    sample: Sequence[int]
    warmup: Sequence[int]
    machine: Machine
    cache: Path
    resident: bool = True
    """Whether workers stay loaded between visits."""
    windows: int | None = None
    """How many windows warm every system up, once it is known what the slowest needs."""
    budget: MemoryBudget | None = None
    """The memory that all have together while they stay loaded; None where it is not counted."""
    rate: float = 0.0
    """Requests per second that all systems are offered, once a search has found what all can serve."""
    workers: dict[str, Worker] = field(default_factory=dict)

    def open(self, cell: Cell) -> Opening:
        """Load and warm up a cell's worker, and stop it.

        The first worker that does not fit beside those that are loaded ends them; from then on none stays.
        """
        if self.resident and not self._fits(cell):
            self.end()
            self.resident = False
        opening = self._load(cell)
        self._rest(cell)
        return opening

    def equalise_warmup(self, cell: Cell, opening: Opening, windows: int) -> Opening:
        """Warm a cell's worker up to as many windows as any of the group needed; return the new opening."""
        self.windows = windows
        opening = replace(opening, loaded_per_visit=not self.resident)
        if opening.windows is None or opening.windows >= windows:  # None: a program starts cold each time
            return opening
        missing, indexes = windows - opening.windows, self._warmup_window(cell)
        if self.resident:
            with self.turn(cell) as worker:
                worker.send(WarmRequest(indexes, missing, exactly=True, first=False))
        requests = opening.warmup_requests + missing * len(indexes)
        return replace(opening, warmup_requests=requests, windows=windows)

    def visit_request(self, cell: Cell, indexes: Sequence[int], round_index: int) -> VisitRequest:
        """Return the request for a visit in a round."""
        profile, seed = self.plan.profile, f"{self.plan.seed} {round_index}"
        return VisitRequest(indexes, profile.warmup, profile.window_ms, cell.rate or self.rate, seed)

    def search(self, cell: Cell) -> RateSearch:
        """Find the highest rate at which a cell keeps the plan's SLO, over the whole sample."""
        with self.turn(cell) as worker:

            def visit(rate: float, seed: str) -> VisitResult:
                warmup = self.plan.profile.warmup
                return worker.send(VisitRequest(self.sample, warmup, rate=rate, seed=seed))

            return search(visit, parse(cell.slo), self.plan.seed, cell.instances)

    @contextmanager
    def turn(self, cell: Cell) -> Iterator[Worker]:
        """Let one worker run while all others are stopped."""
        if cell.id not in self.workers:
            self._load(cell)
        worker = self.workers[cell.id]
        worker.resume()
        yield worker
        self._rest(cell)

    def drop(self, cell: Cell) -> None:
        """End the worker of a cell."""
        worker = self.workers.pop(cell.id, None)
        if worker:
            worker.end()

    def end(self) -> None:
        """End all workers."""
        for worker in self.workers.values():
            worker.end()
        self.workers.clear()
        self.windows = None

    def _fits(self, cell: Cell) -> bool:
        if self.budget is None:
            return True
        held_bytes = [self.machine.held_bytes(worker.pid) for worker in self.workers.values()]
        return self.budget.fits(held_bytes, folder_bytes(self.artifacts[cell.variant].folder), cell.instances)

    def _load(self, cell: Cell) -> Opening:
        side, variables = self.plan.side(cell.variant), self.plan.environment(cell.variant)
        worker = self.machine.launch(self.plan.cpus, cell.threads, side, variables)
        self.workers[cell.id] = worker
        opened = worker.send(self._open_request(cell))
        windows = self.windows or self.plan.profile.warm_windows
        exactly = self.windows is not None
        warmed = worker.send(WarmRequest(self._warmup_window(cell), windows, exactly=exactly))
        return extended(
            Opening,
            warmed,
            effective=warmed.effective or opened.effective,
            loop_ns_per_request=opened.loop_ns_per_request,
            counters=opened.counters,
            load_ns=opened.load_ns,
        )

    def _warmup_window(self, cell: Cell) -> list[int]:
        """Return the requests of a window of warming up: a whole batch at least."""
        return list(islice(cycle(self.warmup), max(len(self.warmup), cell.batch)))

    def _rest(self, cell: Cell) -> None:
        if self.resident:
            self.workers[cell.id].stop()
        else:
            self.drop(cell)

    def _open_request(self, cell: Cell) -> OpenRequest:
        return OpenRequest(
            task=self.plan.task_words,
            variant=without_side(cell.variant),
            rung=self.plan.rung_definition(cell.variant),
            scenario=cell.scenario,
            boundary=cell.boundary,
            data=self.plan.data,
            artifact=self.artifacts[cell.variant],
            settings=settings(self.plan, cell.batch),
            placement=placement(self.plan, cell.variant),
            meter=self.plan.meter,
            cache=str(self.plan.cache_of(cell.variant, self.cache)),
            sample=self.sample,
        )
