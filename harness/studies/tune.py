"""The search for the fastest, or most frugal, variant within a quality budget.

    train --cut--> nine tenths: recipes learn | a tenth: every candidate is measured, the winner is chosen
    val ---------------------------------------> baseline and winner are measured, once, and that is reported

What chooses is never what is reported: a candidate that is lucky on the part it is chosen by is not lucky
twice.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.analysis.statistics.quality_change import quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup
from harness.catalog import Catalog
from harness.common.errors import MeasurementError, UsageError
from harness.common.progress import ProgressReporter
from harness.records.estimate import Estimate
from harness.records.ladder import Ladder
from harness.records.plan import PROFILES, DataPlan, Plan
from harness.records.record import Record
from harness.records.store import RunFolder, Store
from harness.runs.execution.preparation import prepare
from harness.runs.execution.run import Run, execute
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.services import Machine
from harness.workload.data import folds
from harness.workload.tasks.base import split_path

Objective = Literal["speed", "energy"]

PARTS = 10
"""One part in so many of the training split chooses."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate: what it gains over the first rung, its change in points, and what became of it."""

    name: str
    gain: Ratio | None
    points: Estimate | None
    within: bool
    why: str


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What was tried, who won if anybody did, and the records of search and of the final measurement."""

    tried: tuple[Candidate, ...]
    winner: str | None
    searched: tuple[Record, ...]
    final: tuple[Record, ...]
    folders: tuple[RunFolder, ...]


@dataclass(frozen=True, slots=True)
class SearchContext:
    """Where a search works: store, cache, machine, and who is told."""

    store: Store
    cache: Path
    machine: Machine
    narrator: ProgressReporter


def tune(
    wanted: RunOptions, catalog: Catalog, place: SearchContext, *, max_loss: float, objective: Objective
) -> SearchOutcome:
    """Measure every rung on a part of train, then baseline and winner on val.

    `max_loss` is in points of the primary metric. UsageError for a ladder without a rival or a task without a
    training split; MeasurementError where no candidate could be measured.
    """
    ladder = wanted.ladder
    if ladder is None or len(ladder.rungs) < 2:  # noqa: PLR2004 -- a baseline and a rival
        raise UsageError("a search needs a baseline and at least one candidate.", where="--ladder")
    plan = plan_run(
        wanted, catalog, place.cache, place.machine, place.narrator, before_work=place.store.check_writable
    )
    search, final = cut_for_search(plan, place.cache)
    found, folder = _measure(_on(plan, search, "search", "offline"), place)
    tried = judge_all(ladder, found, max_loss=max_loss, objective=objective)
    winner = best(tried)
    if winner is None:
        return SearchOutcome(tried, None, tuple(found), (), (folder,))
    finalists = ladder.only((ladder.rungs[0].name, winner))
    words = {"ladder": finalists, "variants": tuple(rung.name for rung in finalists.rungs)}
    last = _on(plan, final, "final", *plan.scenarios).model_copy(
        update={**words, "configuration": {**plan.configuration, "ladder": finalists.facts()}}
    )
    records, reported = _measure(last, place)
    return SearchOutcome(tried, winner, tuple(found), tuple(records), (folder, reported))


def cut_for_search(plan: Plan, cache: Path) -> tuple[DataPlan, DataPlan]:
    """Return where the search's data and the final measurement's lie, cut once into the cache.

    Both have the same training part; the first has the rest of train as its val, the second the real one.
    """
    task, data = plan.asked, Path(plan.data.folder)
    train = data / split_path(task, "train") if "train" in task.splits else None
    if train is None or not train.is_file():
        raise UsageError(
            f"{plan.task} has no training split here, and the search never chooses by {plan.data.split}.",
            remedy="Give a data folder with the training split.",
        )
    digest = hashlib.sha256(train.read_bytes() + plan.data.fingerprint.encode()).hexdigest()[:16]
    root = cache / "search" / f"{plan.task}-{digest}-{plan.seed}"
    if not (root / "final").is_dir():
        folds.cut_folds(data, task.folder, root, folds=PARTS, seed=plan.seed)
        _finish(root, data, task.folder, plan.data.split)
    return tuple(_data(plan, root / name) for name in ("fold-1", "final"))  # type: ignore[return-value]


def judge_all(
    ladder: Ladder, records: Sequence[Record], *, max_loss: float, objective: Objective
) -> tuple[Candidate, ...]:
    """Judge every rung but the first against it, in the ladder's order."""
    known = {record.cell.variant: record for record in records}
    baseline = known[ladder.rungs[0].name]
    if baseline.status == "failed":
        said = baseline.failure.message if baseline.failure else "it failed"
        raise MeasurementError(f"the baseline {baseline.cell.variant} was not measured: {said}")
    gain = speedup if objective == "speed" else energy_reduction
    return tuple(_judge(known[rung.name], baseline, max_loss, gain) for rung in ladder.rungs[1:])


def best(tried: Sequence[Candidate]) -> str | None:
    """Return the candidate within the budget that gains most; None if there is none that gains."""
    able = [each for each in tried if each.within and each.gain and each.gain.value > 1]
    return max(able, key=lambda each: each.gain.value if each.gain else 0.0).name if able else None


def _judge(
    record: Record, baseline: Record, max_loss: float, gain: Callable[[Record, Record], object]
) -> Candidate:
    name = record.cell.variant
    if record.status == "failed":
        said = record.failure.message if record.failure else "it failed"
        return Candidate(name, None, None, within=False, why=f"not measured: {said}")
    change, ratio = quality_change(record, baseline), gain(record, baseline)
    points = getattr(change, "points", None)
    if points is None:
        return Candidate(name, _ratio(ratio), None, within=False, why=str(change))
    within = points.value >= -max_loss
    why = "within the budget" if within else f"loses {-points.value:.2f} points, {max_loss:g} are allowed"
    return Candidate(name, _ratio(ratio), points, within=within, why=why if _ratio(ratio) else str(ratio))


def _ratio(found: object) -> Ratio | None:
    return found if isinstance(found, Ratio) else None


def _measure(plan: Plan, place: SearchContext) -> tuple[list[Record], RunFolder]:
    prepared = prepare(plan, place.cache, place.machine, place.narrator)
    run = Run(plan, prepared, place.store.begin(plan), place.machine, place.cache, place.narrator)
    return execute(run), run.folder


def _on(plan: Plan, data: DataPlan, stage: str, *scenarios: str) -> Plan:
    """Return the plan of one stage; the search is quick, and what is reported takes the profile asked for."""
    quick = stage == "search" and plan.profile.name != "quick"
    update = {
        "data": data,
        "scenarios": scenarios,
        "run": f"{plan.run}-{stage}",
        "profile": PROFILES["quick"] if quick else plan.profile,
        "configuration": {**plan.configuration, "stage": stage, "scenarios": list(scenarios)},
    }
    return plan.model_copy(update=update)


def _data(plan: Plan, folder: Path) -> DataPlan:
    val = folder / split_path(plan.asked, plan.data.split)
    fingerprint = hashlib.sha256(val.read_bytes()).hexdigest()
    return plan.data.model_copy(update={"folder": str(folder), "fingerprint": fingerprint})


def _finish(root: Path, data: Path, folder: str, split: str) -> None:
    """Put the final measurement's data beside the search's, and drop the folds that nobody needs."""
    scratch = root / ".final" / folder
    scratch.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / "fold-1" / folder / "train.jsonl", scratch / "train.jsonl")
    shutil.copyfile(data / folder / f"{split}.jsonl", scratch / f"{split}.jsonl")
    (root / ".final").rename(root / "final")
    for number in range(2, PARTS + 1):
        shutil.rmtree(root / f"fold-{number}", ignore_errors=True)
