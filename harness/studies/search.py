"""The search of a ladder for the fastest, most frugal or best rung within a quality budget.

    train --cut--> nine tenths: recipes train | one tenth: all candidates are measured, one is selected
    val --------------------------------------> baseline and winner are measured, once, and reported

The data that select the winner are never the reported ones, so that a candidate that was selected by chance
does not report the same chance.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup
from harness.catalog import Catalog
from harness.common.errors import InterruptedRun, MeasurementError, UsageError, unknown_name
from harness.common.progress import ProgressReporter
from harness.records.estimate import Estimate
from harness.records.ladder import Ladder
from harness.records.plan import PROFILES, DataPlan, Plan
from harness.records.record import Record
from harness.records.store import RunFolder, Store
from harness.runs.execution.preparation import prepare
from harness.runs.execution.run import Run, execute
from harness.runs.execution.run import resume as resume_run
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.services import Machine
from harness.workload.data import folds
from harness.workload.tasks.base import split_path

Objective = Literal["speed", "energy", "quality"]

SEARCH, FINAL = "search", "final"
"""The stages of a search, with which the names of their runs end."""

PARTS = 10
"""The training split is cut into this many parts, one of which selects the winner."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate: its gain over the first rung, its change of quality in points, and the decision."""

    name: str
    gain: Ratio | None
    points: Estimate | None
    within: bool
    why: str


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """The candidates, the winner if there is one, and the records of the search and the final measurement."""

    tried: tuple[Candidate, ...]
    winner: str | None
    searched: tuple[Record, ...]
    final: tuple[Record, ...]
    folders: tuple[RunFolder, ...]


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a search works with: store, cache, machine, and the progress reporter.

    `before_work` is called once options and data are sound.
    """

    store: Store
    cache: Path
    machine: Machine
    progress: ProgressReporter
    before_work: Callable[[], None] = lambda: None

    def begin_work(self) -> None:
        """Check that the store can be written, and call `before_work`."""
        self.store.check_writable()
        self.before_work()


def search_ladder(
    options: RunOptions,
    catalog: Catalog,
    context: SearchContext,
    *,
    max_loss: float,
    objective: Objective,
    resume: str | None = None,
) -> SearchOutcome:
    """Measure every rung on a part of train, then baseline and winner on val.

    `max_loss` is in points of the primary metric. `resume` names a run of a search with the same options, or
    `latest`: what it has measured is not measured again. UsageError for a ladder without candidates or a task
    without a training split; MeasurementError if the baseline could not be measured.
    """
    ladder = options.ladder
    if ladder is None or len(ladder.rungs) < 2:  # noqa: PLR2004 -- a baseline and a candidate
        raise UsageError("a search needs a baseline and at least one candidate.", where="--ladder")
    plan = plan_run(
        options,
        catalog,
        context.cache,
        context.machine,
        context.progress,
        before_work=context.begin_work,
    )
    if resume is not None:
        plan = plan.model_copy(update={"run": begun_search(context.store, resume)})
    _, final_data = cut_for_search(plan, context.cache)
    searched, folder = _measure(search_stage(plan, context.cache), context)
    tried = judge_all(ladder, searched, max_loss=max_loss, objective=objective)
    winner = best(tried, objective)
    if winner is None:
        return SearchOutcome(tried, None, tuple(searched), (), (folder,))
    final_plan = _stage_plan(plan, final_data, FINAL, *plan.scenarios)
    final, final_folder = _measure(
        _with_ladder(final_plan, ladder.only((ladder.rungs[0].name, winner))), context
    )
    return SearchOutcome(tried, winner, tuple(searched), tuple(final), (folder, final_folder))


def search_stage(plan: Plan, cache: Path) -> Plan:
    """Return the plan of the first stage: its recipes train on nine tenths of train, and the rest selects."""
    search_data, _ = cut_for_search(plan, cache)
    return _stage_plan(plan, search_data, SEARCH, "offline")


def begun_search(store: Store, name: str) -> str:
    """Return what both runs of a search begin with, given one or `latest`; UsageError if there is none."""
    ends = (f"-{SEARCH}", f"-{FINAL}")
    runs = [folder.name for folder in store.runs() if folder.name.endswith(ends)]
    if not runs:
        raise UsageError(
            "the store holds no search.", where=str(store.root), remedy="Begin one: leave out --resume."
        )
    if name != "latest" and name not in runs:
        raise unknown_name("search", name, runs, longest=200)
    return (max(runs) if name == "latest" else name).rpartition("-")[0]


def _with_ladder(plan: Plan, ladder: Ladder) -> Plan:
    """Return the plan for the rungs of another ladder."""
    variants = tuple(rung.name for rung in ladder.rungs)
    configuration = {**plan.configuration, "ladder": ladder.facts()}
    return plan.model_copy(update={"ladder": ladder, "variants": variants, "configuration": configuration})


def cut_for_search(plan: Plan, cache: Path) -> tuple[DataPlan, DataPlan]:
    """Return the data of the search and of the final measurement, cut once into the cache.

    Both have the same training part; the first has the rest of train as its val, the second the real val.
    """
    task, data = plan.asked, Path(plan.data.folder)
    train = data / split_path(task, "train") if "train" in task.splits else None
    if train is None or not train.is_file():
        raise UsageError(
            f"the data of {plan.task} have no training split, and {plan.data.split} must not select the "
            "winner.",
            remedy="Give a data folder with the training split (--data).",
        )
    digest = hashlib.sha256(train.read_bytes() + plan.data.fingerprint.encode()).hexdigest()[:16]
    root = cache / "search" / f"{plan.task}-{digest}-{plan.seed}"
    if not (root / "final").is_dir():
        folds.cut_folds(data, task.folder, root, folds=PARTS, seed=plan.seed)
        _add_final(root, data, task.folder, plan.data.split)
    return _data_plan(plan, root / "fold-1"), _data_plan(plan, root / "final")


def judge_all(
    ladder: Ladder, records: Sequence[Record], *, max_loss: float, objective: Objective
) -> tuple[Candidate, ...]:
    """Judge every rung but the first against it, in the ladder's order."""
    by_variant = {record.cell.variant: record for record in records}
    baseline = by_variant[ladder.rungs[0].name]
    if baseline.status == "failed":
        failure = baseline.failure.message if baseline.failure else "it failed"
        raise MeasurementError(f"the baseline {baseline.cell.variant} was not measured: {failure}")
    gain_of = energy_reduction if objective == "energy" else speedup
    return tuple(_judge(by_variant[rung.name], baseline, max_loss, gain_of) for rung in ladder.rungs[1:])


def best(tried: Sequence[Candidate], objective: Objective) -> str | None:
    """Return the candidate within the budget that gains most; None if no candidate gains.

    For quality it is the one with the best score of those that gain speed.
    """
    gains = {
        candidate.name: candidate.points.value if objective == "quality" else candidate.gain.value
        for candidate in tried
        if candidate.within and candidate.points and candidate.gain and candidate.gain.value > 1
    }
    return max(gains, key=gains.__getitem__, default=None)


def _judge(
    record: Record,
    baseline: Record,
    max_loss: float,
    gain_of: Callable[[Record, Record], Ratio | NotComparable],
) -> Candidate:
    name = record.cell.variant
    if record.status == "failed":
        failure = record.failure.message if record.failure else "it failed"
        return Candidate(name, None, None, within=False, why=f"not measured: {failure}")
    change, ratio = quality_change(record, baseline), gain_of(record, baseline)
    gain = ratio if isinstance(ratio, Ratio) else None
    if isinstance(change, NotComparable):
        return Candidate(name, gain, None, within=False, why=str(change))
    points = change.points
    within = points.value >= -max_loss
    decision = (
        "within the budget" if within else f"loses {-points.value:.2f} points, {max_loss:g} are allowed"
    )
    return Candidate(name, gain, points, within=within, why=decision if gain else str(ratio))


def _measure(plan: Plan, context: SearchContext) -> tuple[list[Record], RunFolder]:
    """Measure a stage, or what is left of it."""
    folder = context.store.run_folder(plan.run)
    if folder.has_records and not folder.unfinished:
        records, _ = context.store.records([folder])
        _check_begun(plan, plan.run, [_of_record(record) for record in records])
        return records, folder
    if folder.unfinished:
        _check_begun(plan, plan.run, [_of_plan(folder.plan())])
        run = resume_run(folder, context.cache, context.machine, context.progress)
    else:
        shutil.rmtree(folder.path, ignore_errors=True)  # left by a crash before the plan was written
        prepared = prepare(plan, context.cache, context.machine, context.progress)
        run = Run(plan, prepared, context.store.begin(plan), context.machine, context.cache, context.progress)
    try:
        return execute(run), run.folder
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted; every finished round is kept.",
            where=folder.name,
            remedy=f"`bench search --resume {folder.name}` with the same options goes on.",
        ) from None


def _check_begun(plan: Plan, run: str, begun: Sequence[dict[str, object]]) -> None:
    """Raise UsageError if a stage was begun with other options, data, checkpoint or machine than now."""
    own = _of_plan(plan)
    for facts in begun:
        if unlike := [name for name, value in own.items() if facts[name] != value]:
            raise UsageError(
                f"the search was begun with another {', '.join(unlike)}.",
                where=run,
                remedy="Give the options that it was begun with, on the same machine, or begin anew.",
            )
    if not begun:
        raise UsageError("the records of the search cannot be read.", where=run, remedy="Begin it anew.")


def _of_plan(plan: Plan) -> dict[str, object]:
    configuration = json.loads(json.dumps(plan.configuration))  # tuples become lists, as in a record
    fingerprints = (plan.data.fingerprint, plan.model.fingerprint, plan.host_fingerprint)
    return dict(zip(_COMPARED, (configuration, plan.profile.name, *fingerprints), strict=True))


def _of_record(record: Record) -> dict[str, object]:
    fingerprints = (record.data.fingerprint, record.model.fingerprint, record.host.fingerprint)
    return dict(zip(_COMPARED, (record.configuration, record.profile, *fingerprints), strict=True))


_COMPARED = ("set of options", "profile", "data file", "checkpoint", "machine")


def _stage_plan(plan: Plan, data: DataPlan, stage: str, *scenarios: str) -> Plan:
    """Return the plan of one stage; the search uses the quick profile, the final stage the requested one."""
    quick = stage == SEARCH and plan.profile.name != "quick"
    update = {
        "data": data,
        "scenarios": scenarios,
        "run": f"{plan.run}-{stage}",
        "profile": PROFILES["quick"] if quick else plan.profile,
        "configuration": {**plan.configuration, "stage": stage, "scenarios": list(scenarios)},
    }
    return plan.model_copy(update=update)


def _data_plan(plan: Plan, folder: Path) -> DataPlan:
    val = folder / split_path(plan.asked, plan.data.split)
    fingerprint = hashlib.sha256(val.read_bytes()).hexdigest()
    return plan.data.model_copy(update={"folder": str(folder), "fingerprint": fingerprint})


def _add_final(root: Path, data: Path, folder: str, split: str) -> None:
    """Add the data of the final measurement beside those of the search, and remove the unused folds."""
    temporary = root / ".final" / folder
    temporary.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / "fold-1" / folder / "train.jsonl", temporary / "train.jsonl")
    shutil.copyfile(data / folder / f"{split}.jsonl", temporary / f"{split}.jsonl")
    (root / ".final").rename(root / "final")
    for number in range(2, PARTS + 1):
        shutil.rmtree(root / f"fold-{number}", ignore_errors=True)
