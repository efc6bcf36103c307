"""The workers of one group: opened once each, stopped but for their own turn.

Where the group's memory would not fit, workers are loaded for each visit and ended after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.sweep.cells import Cell
from harness.sweep.launch import Worker
from harness.sweep.machine import Machine
from harness.sweep.plan import Plan

WARMUP_REQUESTS = 16
"""Enough for allocators and pools to settle on this group's lengths; the same for all variants."""

WORKER_BYTES = 600 * 2**20
"""A worker that has loaded torch and transformers, before any weights; ONNX workers need a fifth of it."""

WEIGHT_COPIES = 3
"""How often weights may lie in memory: as read, as loaded, as an engine packs them."""

MEMORY_SHARE = 0.8
"""The part of the limit that a group may plan for; the rest is the parent's, the page cache's, others'."""


@dataclass(slots=True)
class Crew:
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
    workers: dict[str, Worker] = field(default_factory=dict)

    def open(self, cell: Cell) -> dict[str, Any]:
        """Load and warm up a cell's worker, let it rest, and say how loading went."""
        opened = self._load(cell)
        self._rest(cell)
        return {**opened, "loaded_per_visit": not self.resident}

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

    def _load(self, cell: Cell) -> dict[str, Any]:
        worker = self.machine.launch(self.plan.cpus, cell.threads)
        self.workers[cell.id] = worker
        opened = worker.ask("open", sample=list(self.sample), **self._opening(cell))
        return opened | worker.ask("warm", indexes=list(self.warmup))

    def _rest(self, cell: Cell) -> None:
        if self.resident:
            self.workers[cell.id].stop()
        else:
            self.lose(cell)

    def _opening(self, cell: Cell) -> dict[str, Any]:
        return {
            "task": self.plan.task_words,
            "variant": cell.variant,
            "rung": self.plan.rung_words(cell.variant),
            "scenario": cell.scenario,
            "boundary": cell.boundary,
            "data": self.plan.data.model_dump(),
            "artifact": self.artifacts[cell.variant],
            "settings": settings(self.plan),
            "placement": placement(self.plan, cell.variant),
            "meter": self.plan.meter,
            "cache": str(self.cache),
        }


def fits(sizes: Sequence[int], limit_bytes: int | None) -> bool:
    """Say whether workers for artifacts of these sizes on disk may all stay in memory at once.

    A limit that the kernel does not tell is taken for none.
    """
    if limit_bytes is None:
        return True
    needed = sum(WORKER_BYTES + WEIGHT_COPIES * size for size in sizes)
    return needed <= MEMORY_SHARE * limit_bytes


def settings(plan: Plan) -> dict[str, Any]:
    """Return what every system of the plan is asked to do alike, as the worker reads it."""
    return {"max_length": plan.max_length, "batch": 1, "command": plan.command}


def placement(plan: Plan, variant: str) -> dict[str, Any]:
    """Return where a variant's system runs, as the worker reads it: instances share the threads evenly."""
    instances = plan.instances(variant)
    threads = max(1, plan.threads // instances)
    return {"device": plan.device, "cpus": plan.cpus, "threads": threads, "instances": instances}
