"""A run: check, prepare, measure group by group, seal. The parent sleeps while a worker works."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cache import in_use, size_of
from harness.catalog import COMMAND, Catalog
from harness.data import Data, Split, load_split
from harness.device import kind_of, one_device
from harness.errors import BenchError, CheckpointError, DataError, DeviceError, UsageError
from harness.record import ArtifactFacts, DataFacts, Record
from harness.runs.execution.preparation import Preparer
from harness.store import RunFolder, Store
from harness.sweep import options as asked
from harness.sweep.beside import Beside, begin
from harness.sweep.cells import Cell, groups
from harness.sweep.crew import placement, settings
from harness.sweep.group import Group
from harness.sweep.journal import of_cell
from harness.sweep.load import loads_of
from harness.sweep.machine import Machine
from harness.sweep.metering import metered
from harness.sweep.narrator import Narrator
from harness.sweep.options import RunOptions
from harness.sweep.plan import Plan
from harness.sweep.room import Room, board_bytes, fits_board
from harness.sweep.seal import Surroundings, seal_cell
from harness.sweep.sides import plain
from harness.sweep.slices import cut_slices, draw_sample, slice_count, units_of
from harness.sweep.stopping import MOST, Rule
from harness.sweep.wire import failure_of
from harness.system import Example
from harness.tasks import TaskWords

TRIAL_EXAMPLES = 48
"""Training examples on which preparation tries candidates: enough for a median, a second or two of work."""

BAD_INPUT = (UsageError, DataError, CheckpointError, DeviceError)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Artifacts by variant, and the failure of each variant that could not be prepared."""

    artifacts: dict[str, dict[str, Any]]
    broken: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is ready to measure: its plan, what was prepared, the store's folder, the world.

    `others` is what was prepared for the further devices of the plan, in their order.
    """

    plan: Plan
    prepared: Prepared
    folder: RunFolder
    machine: Machine
    cache: Path
    narrator: Narrator
    others: tuple[Prepared, ...] = ()

    def parts(self) -> "tuple[Run, ...]":
        """Return the run of each device by itself; they share the folder, and so the journal."""
        made = (self.prepared, *self.others)
        return tuple(
            replace(self, plan=plan, prepared=one, others=())
            for plan, one in zip(self.plan.parts(), made, strict=True)
        )


def start(
    wanted: RunOptions,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    narrator: Narrator,
    preparer: Preparer | None = None,
) -> Run:
    """Check all that can be checked, find the checkpoint, prepare the variants, and write the plan down."""
    plan = planned(wanted, catalog, cache, machine, narrator, before_work=store.check_writable, several=True)
    made, *others = prepare_each(plan, cache, machine, narrator, preparer)
    plan, folder = begun(plan, store, machine)
    return Run(plan, made, folder, machine, cache, narrator, tuple(others))


def begun(plan: Plan, store: Store, machine: Machine) -> tuple[Plan, RunFolder]:
    """Begin the run in the store; where another run of this second drew the same name, draw again."""
    if store.has(plan.run):
        plan = plan.model_copy(update={"run": f"{plan.run.rpartition('-')[0]}-{machine.suffix()}"})
    return plan, store.begin(plan)


def planned(
    wanted: RunOptions,
    catalog: Catalog,
    cache: Path,
    machine: Machine,
    narrator: Narrator,
    *,
    before_work: Callable[[], None] = lambda: None,
    labelled: bool = True,
    several: bool = False,
) -> Plan:
    """Check options and data, then find the checkpoint; `before_work` may still refuse in between.

    Without `labelled`, a user's own rows may lack their labels; without `several`, UsageError for more than
    one device.
    """
    if not several:
        one_device(wanted.device)
    each = asked.check_each(wanted, catalog, machine, narrator)
    wanted = each[0]
    found = asked.found_of(wanted, cache, labelled=labelled)
    split = load_split(found.task, found.data, wanted.split)
    before_work()
    checkpoint = checkpoint_named(wanted.model, found.words, cache, machine)
    return asked.make_plan(each, found, split, checkpoint, machine)


def resume(folder: RunFolder, cache: Path, machine: Machine, narrator: Narrator) -> Run:
    """Go on with an unfinished run; UsageError if the machine is not the one it began on."""
    folder = folder.taken()
    plan = folder.plan()
    if machine.host().fingerprint != plan.host_fingerprint:
        raise UsageError(
            "the run began on another machine, or this one has changed since.",
            where=folder.name,
            remedy="Resume it there, or start a new run here: rounds of unlike machines are never joined.",
        )
    folder.mend()
    made, *others = prepare_each(plan, cache, machine, narrator)
    return Run(plan, made, folder, machine, cache, narrator, tuple(others))


def execute(run: Run) -> list[Record]:
    """Measure and seal. Whatever interrupts it, every finished round is in the journal: `resume` goes on."""
    split, parts = read_split(run.plan), run.parts()
    cpu = any(part.plan.device == "cpu" for part in parts)
    begun = begin(run.machine, run.plan.cpus, roofline=run.plan.roofline and cpu)
    with in_use(Path(made["folder"]) for part in parts for made in part.prepared.artifacts.values()):
        for part in parts:
            for members in groups(cells_of(part.plan)).values():
                measure_group(part, members, split)
    beside = begun.end()
    records = [record for part in parts for record in seal_all(part, surroundings(part, split, beside))]
    run.folder.finish()
    return records


def read_split(plan: Plan) -> Split:
    """Read the plan's split; UsageError if it is not what it was when the run began."""
    split = load_split(plan.asked, Data(plan.data.tier, Path(plan.data.folder)), plan.data.split)
    if split.fingerprint != plan.data.fingerprint:
        raise UsageError("the data changed since the run began.", where=f"{plan.task}/{plan.data.split}")
    return split


def cells_of(plan: Plan) -> list[Cell]:
    """Return every cell of a plan of one device, group by group."""
    return [
        Cell(
            task=plan.task,
            variant=variant,
            device=plan.device,
            scenario=scenario,
            **load,
            **_use_of_cores(plan, variant),
            max_length=plan.max_length,
            boundary=plan.boundary,
            command=_sha256(plan.command) if variant == COMMAND else "",
            definition=plan.definition_sha256,
            twin=twin,
            data=plan.data.fingerprint,
            model=plan.model_of(variant).fingerprint,
        )
        for scenario in plan.scenarios
        for load in loads_of(scenario, plan.batches, plan.rates, plan.slo)
        for variant in plan.variants
        for twin in range(2 if plan.null_test else 1)
    ]


def _use_of_cores(plan: Plan, variant: str) -> dict[str, Any]:
    """Return how a variant uses the plan's cores; a variant of the catalog runs once, on all of them."""
    words = plan.rung_words(variant)
    if words is None:
        return {"threads": plan.threads}
    placed = placement(plan, variant)
    shared = {"rung": _sha256(json.dumps(words, sort_keys=True)), "cores": plan.threads}
    return {"threads": placed["threads"], "instances": placed["instances"], **shared}


def prepare_each(
    plan: Plan, cache: Path, machine: Machine, narrator: Narrator, preparer: Preparer | None = None
) -> list[Prepared]:
    """Prepare the variants of every device; those of a second board are those of the first."""
    found: dict[tuple[str, tuple[str, ...]], Prepared] = {}
    for part in plan.parts():
        kind = (kind_of(part.device), part.variants)
        if kind not in found:
            found[kind] = prepare(part, cache, machine, narrator, preparer)
    return [found[kind_of(part.device), part.variants] for part in plan.parts()]


def prepare(
    plan: Plan, cache: Path, machine: Machine, narrator: Narrator, preparer: Preparer | None = None
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


def measure_group(run: Run, members: Sequence[Cell], split: Split) -> None:
    """Measure what the journal does not hold yet of one group."""
    slices, rest = slices_of(run.plan, split.examples)
    Group(
        plan=run.plan,
        cells=members,
        artifacts=run.prepared.artifacts,
        slices=slices,
        rest=rest if is_completed(run.plan, members[0]) else [],
        machine=run.machine,
        cache=run.cache,
        narrator=run.narrator,
        append=run.folder.append,
        done=run.folder.entries(),
        rule=_rule(run.plan),
        # a program loads when its turn comes, and is gone after it: the workers that stay hold no weights
        room=None if run.plan.boundary == "process" else Room(run.machine.memory_limit_bytes()),
        resident=run.plan.boundary == "process" or _fits_board(run, members),
    ).run()


def _fits_board(run: Run, members: Sequence[Cell]) -> bool:
    made = run.prepared.artifacts
    able = [cell for cell in members if cell.variant in made]
    sizes = [_size_bytes(made[cell.variant]) for cell in able for _ in range(cell.instances)]
    return fits_board(sizes, board_bytes(run.machine.host(), run.plan.board))


def _rule(plan: Plan) -> Rule | None:
    """Return when to stop adding rounds to a group: each group of the run has an equal part of the time."""
    if plan.precision is None:
        return None
    budget_s = plan.time_budget_s
    if budget_s is not None:
        budget_s /= len({cell.group for cell in cells_of(plan)})
    return Rule(plan.precision, budget_s, MOST * plan.profile.all_rounds)


def is_completed(plan: Plan, cell: Cell) -> bool:
    """Say whether an untimed pass over the rest follows; a ladder needs one, not one a scenario."""
    return plan.quality == "full" and (plan.ladder is None or cell.scenario == plan.scenarios[0])


def slices_of(plan: Plan, examples: Sequence[Example]) -> tuple[list[list[int]], list[int]]:
    """Return the slices, stratified by characters so that no tokenizer is needed, and who is left out.

    Where examples are drawn in clusters, as many clusters are drawn as hold about the sample.
    """
    lengths = [sum(len(text.first) + len(text.second or "") for text in e.inputs) for e in examples]
    units = units_of([example.cluster for example in examples], together=plan.boundary == "process")
    sizes = [sum(lengths[index] for index in unit) for unit in units]
    size = max(1, round(plan.profile.sample * len(units) / len(examples)))
    sample = draw_sample(sizes, size, plan.seed)
    timed = {index for unit in sample for index in units[unit]}
    count = min(slice_count(len(timed), plan.profile.rounds, plan.profile.slice_at_least), len(sample))
    cut = cut_slices(sizes, sample, count, plan.seed)
    rest = [index for index in range(len(examples)) if index not in timed]
    return [[index for unit in part for index in units[unit]] for part in cut], rest


def seal_all(run: Run, shared: Surroundings) -> list[Record]:
    """Seal every cell of one device that is not sealed yet."""
    entries = run.folder.entries()
    sealed = run.folder.sealed()
    records = []
    for cell in cells_of(run.plan):
        if cell.id in sealed:  # by a process that was killed before it had sealed all
            records.append(run.folder.record(cell.id))
            continue
        journal = of_cell(entries, cell.id)
        if cell.variant in run.prepared.broken:
            journal.failed = {"failure": run.prepared.broken[cell.variant]}
        records.append(run.folder.seal(*seal_cell(shared, cell, journal)))
    return records


def surroundings(run: Run, split: Split, beside: Beside) -> Surroundings:
    """Gather what all records of the run share."""
    plan = run.plan
    sampled, _ = slices_of(plan, split.examples)
    return Surroundings(
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
        beside=beside,
        software=run.machine.software(),
        energy=plan.energy or metered(run.machine, plan.device, plan.meter_asked).facts(),
        artifacts={name: _artifact_facts(made) for name, made in run.prepared.artifacts.items()},
    )


def checkpoint_named(model: str, task: TaskWords, cache: Path, machine: Machine) -> dict[str, Any]:
    """Return the checkpoint that a model's name means for a task, as a plan holds it."""
    worker = machine.launch(tuple(machine.cpus()), 1)
    try:
        return worker.ask("resolve", task=task, model=model, cache=str(cache))
    finally:
        worker.end()


def _artifact_facts(made: Mapping[str, Any]) -> ArtifactFacts:
    return ArtifactFacts(
        key=made["key"],
        size_bytes=_size_bytes(made),
        cached=not made["fresh"],
        manifest=dict(made["manifest"]),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _size_bytes(made: Mapping[str, Any]) -> int:
    """Return the bytes of an artifact on disk; a checkpoint that is its own artifact counts as it is."""
    return size_of(Path(made["folder"]))


def _order(plan: Plan, variant: str, cache: Path) -> dict[str, Any]:
    return {
        "task": plan.task_words,
        "variant": plain(variant),
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
