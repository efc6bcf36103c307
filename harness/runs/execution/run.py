"""A run: check, prepare, measure group by group, seal. The parent sleeps while a worker works.

start --> Run --execute--> journal --> records          resume --> Run, from the plan and the journal on disk
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.catalog import Catalog
from harness.common.progress import TIMED, ProgressReporter
from harness.records.cell import Cell, group_cells
from harness.records.journal import cell_journal
from harness.records.journal_entries import FailedEntry, from_lines, to_line
from harness.records.plan import Plan
from harness.records.record import ArtifactFacts, DataFacts, Record
from harness.records.store import RunFolder, Store
from harness.runs.execution.changes import check_unchanged
from harness.runs.execution.group import Group
from harness.runs.execution.memory_budget import MemoryBudget, board_bytes, fits_board
from harness.runs.execution.preparation import Prepared, Preparer, prepare_each
from harness.runs.execution.record_assembly import SharedFacts, seal_cell
from harness.runs.execution.stopping_rule import MOST, StoppingRule
from harness.runs.execution.surroundings import RunConditions, begin
from harness.runs.planning.meter_selection import select_meter
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.planning.schedule import cells_of, is_completed, read_split, slices_of
from harness.runs.planning.unsupported import unsupported_variants
from harness.runs.services import Machine
from harness.runs.worker.messages import PreparedArtifact
from harness.systems.artifact_cache import folder_bytes, in_use
from harness.workload.data import Split


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is ready to measure: its plan, what was prepared, its folder in the store, the machine.

    `others` is what was prepared for the further devices of the plan, in their order.
    """

    plan: Plan
    prepared: Prepared
    folder: RunFolder
    machine: Machine
    cache: Path
    narrator: ProgressReporter
    others: tuple[Prepared, ...] = ()

    def parts(self) -> "tuple[Run, ...]":
        """Return the run of each device by itself; they share the folder, and so the journal."""
        by_device = zip(self.plan.parts(), (self.prepared, *self.others), strict=True)
        return tuple(replace(self, plan=plan, prepared=prepared, others=()) for plan, prepared in by_device)


def start(
    options: RunOptions,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
    preparer: Preparer | None = None,
    before_work: Callable[[], None] = lambda: None,
) -> Run:
    """Check all that can be checked, find the checkpoint, prepare the variants, and write the plan.

    `before_work` is called once options and data are sound, before anything is loaded or prepared.
    """

    def checked() -> None:
        store.check_writable()
        before_work()

    plan = plan_run(options, catalog, cache, machine, narrator, before_work=checked, several=True)
    refused = unsupported_variants(plan, catalog)
    first, *others = prepare_each(plan, cache, machine, narrator, preparer, refused)
    plan, folder = begin_in_store(plan, store, machine)
    return Run(plan, first, folder, machine, cache, narrator, tuple(others))


def begin_in_store(plan: Plan, store: Store, machine: Machine) -> tuple[Plan, RunFolder]:
    """Begin the run in the store; where another run of this second has the same name, draw another."""
    if store.has(plan.run):
        plan = plan.model_copy(update={"run": f"{plan.run.rpartition('-')[0]}-{machine.suffix()}"})
    return plan, store.begin(plan)


def resume(folder: RunFolder, cache: Path, machine: Machine, narrator: ProgressReporter) -> Run:
    """Go on with an unfinished run; UsageError names what has changed since it began."""
    folder = folder.taken()
    plan = folder.plan()
    check_unchanged(plan, folder.name, machine)
    folder.mend()
    first, *others = prepare_each(plan, cache, machine, narrator)
    return Run(plan, first, folder, machine, cache, narrator, tuple(others))


def execute(run: Run) -> list[Record]:
    """Measure and seal. Whatever interrupts it, every finished round is in the journal: `resume` goes on."""
    split, parts = read_split(run.plan), run.parts()
    has_cpu = any(part.plan.device == "cpu" for part in parts)
    roofline = run.plan.roofline and has_cpu
    if roofline:
        run.narrator.stage("measure the cores' peaks", 1, quiet_s=TIMED)
    in_progress = begin(run.machine, run.plan.cpus, roofline=roofline)
    with in_use(artifact.folder for part in parts for artifact in part.prepared.artifacts.values()):
        for part in parts:
            for cells in group_cells(cells_of(part.plan)).values():
                measure_group(part, cells, split)
    if roofline:
        run.narrator.stage("measure the cores' peaks again", 1, quiet_s=TIMED)
    conditions = in_progress.end()
    run.narrator.stage("compute the records", len(parts))
    records = [record for part in parts for record in seal_all(part, shared_facts(part, split, conditions))]
    run.folder.finish()
    run.narrator.finish()
    return records


def measure_group(run: Run, cells: Sequence[Cell], split: Split) -> None:
    """Measure what the journal does not hold yet of one group."""
    slices, rest = slices_of(run.plan, split.examples)
    is_program = run.plan.boundary == "process"
    Group(
        plan=run.plan,
        cells=cells,
        artifacts=run.prepared.artifacts,
        slices=slices,
        rest=rest if is_completed(run.plan, cells[0]) else [],
        machine=run.machine,
        cache=run.cache,
        narrator=run.narrator,
        append=lambda entry: run.folder.append(to_line(entry)),
        done=from_lines(run.folder.entries()),
        rule=_stopping_rule(run.plan),
        # a program loads when its turn comes, and is gone after it: the workers that stay hold no weights
        budget=None if is_program else MemoryBudget(run.machine.memory_limit_bytes()),
        resident=is_program or _fits_board(run, cells),
    ).run()


def _fits_board(run: Run, cells: Sequence[Cell]) -> bool:
    artifacts = run.prepared.artifacts
    prepared = [cell for cell in cells if cell.variant in artifacts]
    sizes = [folder_bytes(artifacts[cell.variant].folder) for cell in prepared for _ in range(cell.instances)]
    return fits_board(sizes, board_bytes(run.machine.host(), run.plan.board))


def _stopping_rule(plan: Plan) -> StoppingRule | None:
    """Return when to stop adding rounds to a group: each group of the run has an equal part of the time."""
    if plan.precision is None:
        return None
    budget_s = plan.time_budget_s
    if budget_s is not None:
        budget_s /= len({cell.group for cell in cells_of(plan)})
    return StoppingRule(plan.precision, budget_s, MOST * plan.profile.all_rounds)


def seal_all(run: Run, shared: SharedFacts) -> list[Record]:
    """Seal every cell of one device that is not sealed yet."""
    entries = from_lines(run.folder.entries())
    sealed = run.folder.sealed()
    records = []
    for cell in cells_of(run.plan):
        if cell.id in sealed:  # by a process that was killed before it had sealed all
            records.append(run.folder.record(cell.id))
            continue
        journal = cell_journal(entries, cell.id)
        if cell.variant in run.prepared.broken:
            journal.failed = FailedEntry(cell=cell.id, failure=run.prepared.broken[cell.variant])
        records.append(run.folder.seal(*seal_cell(shared, cell, journal)))
    return records


def shared_facts(run: Run, split: Split, conditions: RunConditions) -> SharedFacts:
    """Gather what all records of the run share."""
    plan = run.plan
    sampled, _ = slices_of(plan, split.examples)
    return SharedFacts(
        plan=plan,
        examples=split.examples,
        data=DataFacts(
            tier=split.tier,
            name=plan.asked.folder,
            split=split.name,
            fingerprint=split.fingerprint,
            official=split.official,
            examples=len(split.examples),
            sample=sum(map(len, sampled)),
            majority=split.majority,
            note=split.note,
        ),
        conditions=conditions,
        software=run.machine.software(),
        energy=plan.energy or select_meter(run.machine, plan.device, plan.meter_asked).facts(),
        artifacts={name: _artifact_facts(made) for name, made in run.prepared.artifacts.items()},
    )


def _artifact_facts(artifact: PreparedArtifact) -> ArtifactFacts:
    """Return what a record holds of an artifact; a checkpoint that is its own artifact counts as it is."""
    return ArtifactFacts(
        key=artifact.key,
        size_bytes=folder_bytes(artifact.folder),
        cached=not artifact.fresh,
        manifest=dict(artifact.manifest),
    )
