"""The workers that prepare variants: one for all of a place, or each side of a gate its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import BenchError, CheckpointError, DataError, DeviceError, UsageError
from harness.common.progress import ProgressReporter
from harness.measurement.machine.devices import device_kind
from harness.records.plan import Plan
from harness.records.side import without_side
from harness.runs.planning.schedule import placement, settings
from harness.runs.services import Machine
from harness.runs.worker.messages import failure_of
from harness.runs.worker.process import Worker


class Preparer:
    """The worker that prepares, started when needed; what it has imported serves many runs."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._workers: dict[str, Worker] = {}
        self._place: tuple[tuple[int, ...], int] = ((), 0)

    def worker(self, plan: Plan, variant: str) -> Worker:
        """Return the variant's worker, a new one if there is none: one for all, or each side its own.

        A plan of other CPUs or threads gets new ones.
        """
        if self._place != (plan.cpus, plan.threads):
            self.end()
        self._place = (plan.cpus, plan.threads)
        side = plan.side(variant)
        name = side.name if side else ""
        if name not in self._workers:
            self._workers[name] = self._machine.launch_of(side)(plan.cpus, plan.threads)
        return self._workers[name]

    def end(self) -> None:
        """End the workers, if there are any."""
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()


TRIAL_EXAMPLES = 48
"""Training examples on which preparation tries candidates: enough for a median, a second or two of work."""

BAD_INPUT = (UsageError, DataError, CheckpointError, DeviceError)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Artifacts by variant, and the failure of each variant that could not be prepared."""

    artifacts: dict[str, dict[str, Any]]
    broken: dict[str, dict[str, Any]]


def prepare_each(
    plan: Plan, cache: Path, machine: Machine, narrator: ProgressReporter, preparer: Preparer | None = None
) -> list[Prepared]:
    """Prepare the variants of every device; those of a second board are those of the first."""
    found: dict[tuple[str, tuple[str, ...]], Prepared] = {}
    for part in plan.parts():
        kind = (device_kind(part.device), part.variants)
        if kind not in found:
            found[kind] = prepare(part, cache, machine, narrator, preparer)
    return [found[device_kind(part.device), part.variants] for part in plan.parts()]


def prepare(
    plan: Plan, cache: Path, machine: Machine, narrator: ProgressReporter, preparer: Preparer | None = None
) -> Prepared:
    """Prepare every variant in one worker; one that takes the worker down leaves the others a new one.

    Bad input is the same for every variant and ends the run at once, before anything is stored. A `preparer`
    that is handed in stays for whoever comes next.
    """
    mine = preparer or Preparer(machine)
    narrator.stage("prepare", len(plan.variants))
    prepared = Prepared({}, {})
    try:
        for variant in plan.variants:
            narrator.detail(variant)
            try:
                order = _order(plan, variant, cache)
                prepared.artifacts[variant] = mine.worker(plan, variant).ask(
                    "prepare", narrator.detail, **order
                )
            except BenchError as problem:
                if isinstance(problem, BAD_INPUT) and not plan.sides:  # one side may know less than another
                    raise
                prepared.broken[variant] = failure_of(problem)
                narrator.warn(f"{variant} cannot be prepared: {problem}")
                mine.end()
            narrator.step()
    finally:
        if preparer is None:
            mine.end()
    return prepared


def _order(plan: Plan, variant: str, cache: Path) -> dict[str, Any]:
    return {
        "task": plan.task_words,
        "variant": without_side(variant),
        "rung": plan.rung_words(variant),
        "checkpoint": plan.model_of(variant).model_dump(),
        "trial": {
            "tier": plan.data.tier,
            "folder": plan.data.folder,
            "limit": TRIAL_EXAMPLES,
            "reported": plan.data.fingerprint,
        },
        "settings": settings(plan),
        "placement": {**placement(plan, variant), "instances": 1},
        "meter": plan.meter,
        "cache": str(plan.cache_of(variant, cache)),
    }
