"""The workers that prepare variants: one for a whole run, or one for each side of a gate."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.common.errors import (
    BenchError,
    CheckpointError,
    DataError,
    DeviceError,
    StoreError,
    UnsupportedError,
    UsageError,
    as_bad_input,
)
from harness.common.progress import ProgressReporter
from harness.measurement.machine.devices import device_kind
from harness.records.journal_entries import FailureReport
from harness.records.plan import Plan
from harness.records.side import without_side
from harness.runs.planning.schedule import placement, settings
from harness.runs.services import Machine, WorkerLauncher
from harness.runs.worker.messages import PreparedArtifact, PrepareRequest, TrainingData, failure_of
from harness.runs.worker.process import Worker

TRIAL_EXAMPLES = 48
"""Training examples on which preparation times candidates: enough for a median, a second or two of work."""

BAD_INPUT = (UsageError, DataError, CheckpointError, DeviceError)


class Preparer:
    """The workers that prepare, started when needed; what they have imported serves many runs."""

    def __init__(self, launcher: WorkerLauncher) -> None:
        self._launcher = launcher
        self._workers: dict[str, Worker] = {}
        self._place: tuple[tuple[int, ...], int] = ((), 0)

    def worker(self, plan: Plan, variant: str) -> Worker:
        """Return the worker of a variant's side, started now if there is none yet.

        A plan of other CPUs or threads gets new workers.
        """
        if self._place != (plan.cpus, plan.threads):
            self.end()
        self._place = (plan.cpus, plan.threads)
        side = plan.side(variant)
        name = side.name if side else ""
        if name not in self._workers:
            self._workers[name] = self._launcher.launch(plan.cpus, plan.threads, side)
        return self._workers[name]

    def end(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Artifacts by variant, and the failure of each variant that could not be prepared."""

    artifacts: dict[str, PreparedArtifact]
    broken: dict[str, FailureReport]


def prepare_each(
    plan: Plan,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
    preparer: Preparer | None = None,
    refused: Mapping[str, str] | None = None,
) -> list[Prepared]:
    """Prepare the variants of every device; those of a second board are those of the first."""
    prepared: dict[tuple[str, tuple[str, ...]], Prepared] = {}
    for part in plan.parts():
        kind = (device_kind(part.device), part.variants)
        if kind not in prepared:
            prepared[kind] = prepare(part, cache, machine, narrator, preparer, refused)
    return [prepared[device_kind(part.device), part.variants] for part in plan.parts()]


def prepare(
    plan: Plan,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
    preparer: Preparer | None = None,
    refused: Mapping[str, str] | None = None,
) -> Prepared:
    """Prepare every variant in one worker; a variant that takes the worker down leaves the others a new one.

    Bad input is the same for every variant and ends the run at once, before anything is stored. What one
    variant lacks for the checkpoint leaves the others: `refused` has the reasons that are known before, by
    variant, and they are told first. UnsupportedError if no variant is left. A `preparer` that is passed in
    stays for the caller's next run.
    """
    own = preparer or Preparer(machine)
    narrator.stage("prepare", len(plan.variants))
    prepared = Prepared({}, {})
    for variant, reason in (refused or {}).items():
        _refuse(prepared, variant, UnsupportedError(reason, where=plan.model_of(variant).name), narrator)
    try:
        for variant in plan.variants:
            if variant in prepared.broken:
                narrator.step()
                continue
            narrator.detail(variant)
            try:
                request = _request(plan, variant, cache)
                prepared.artifacts[variant] = own.worker(plan, variant).send(request, narrator.detail)
            except BenchError as problem:
                if isinstance(problem, UnsupportedError):
                    _refuse(prepared, variant, problem, narrator)
                    narrator.step()
                    continue
                if isinstance(problem, BAD_INPUT) and not plan.sides:  # one side may lack what another has
                    raise
                if isinstance(problem, StoreError):  # the cache is full, for every variant
                    raise as_bad_input(problem) from None
                prepared.broken[variant] = failure_of(problem)
                narrator.warn(f"{variant} cannot be prepared: {problem}")
                own.end()
            narrator.step()
    finally:
        if preparer is None:
            own.end()
    unsupported = UnsupportedError.__name__
    if not prepared.artifacts and all(report.kind == unsupported for report in prepared.broken.values()):
        report = next(iter(prepared.broken.values()))
        raise UnsupportedError(report.message, where=report.where, remedy=report.remedy)
    return prepared


def _refuse(prepared: Prepared, variant: str, problem: UnsupportedError, narrator: ProgressReporter) -> None:
    prepared.broken[variant] = failure_of(problem)
    narrator.warn(f"{variant} cannot run this checkpoint: {problem.message}")


def _request(plan: Plan, variant: str, cache: Path) -> PrepareRequest:
    return PrepareRequest(
        task=plan.task_words,
        variant=without_side(variant),
        rung=plan.rung_definition(variant),
        checkpoint=plan.model_of(variant).checkpoint(),
        trial=TrainingData(
            plan.data.tier, plan.data.folder, TRIAL_EXAMPLES, plan.data.fingerprint, plan.data.split
        ),
        settings=settings(plan),
        placement=replace(placement(plan, variant), instances=1),
        meter=plan.meter,
        cache=str(plan.cache_of(variant, cache)),
    )
