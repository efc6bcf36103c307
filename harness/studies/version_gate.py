"""Base against head: both measured in one run, interleaved round by round on one machine.

REF, REF --code_of--> sides --hello--> what they are --run--> records of base, head, base again --> gate

It is the only fair way where the machine is not one's own: what slows a minute down slows both sides. Base
is measured twice, by two processes: how far it differs from itself is the noise that head is held against.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.analysis.comparison import CellKey, key_of
from harness.analysis.gate.gate import GatedCell
from harness.catalog import Catalog
from harness.common.errors import MeasurementError, UsageError
from harness.common.progress import ProgressReporter
from harness.records.plan import Plan
from harness.records.record import Record
from harness.records.side import BASE, BASE_AGAIN, HEAD, SIDE_MARK, Side, side_of, without_side
from harness.records.store import Store
from harness.runs.execution.preparation import prepare
from harness.runs.execution.run import Run, begin_in_store
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import find_checkpoint, plan_run
from harness.runs.services import Machine
from harness.runs.worker.messages import PROTOCOL_VERSION, HelloRequest, Introduction
from harness.studies.version_refs import Environment, Ref, SideCode, code_of

Builder = Callable[[Ref, Path, Callable[[str], None], Environment], SideCode]


@dataclass(frozen=True, slots=True)
class VersionGateOptions:
    """Two REFs, whether base is measured twice, and which environment a revision gets."""

    base: Ref
    head: Ref
    twice: bool = True
    environment: Environment = "auto"
    build: Builder = code_of

    @property
    def refs(self) -> dict[str, Ref]:
        """The REF of each side, by its name."""
        found = {BASE: self.base, HEAD: self.head}
        return {**found, BASE_AGAIN: self.base} if self.twice else found


def start(
    wanted: RunOptions,
    versus: VersionGateOptions,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
) -> Run:
    """Check everything, build what has to be built, prepare each side by its own code, write the plan."""
    _check(wanted, versus)
    plan = plan_run(
        replace(wanted, model=_model(versus.head, wanted.model)),
        catalog,
        cache,
        machine,
        narrator,
        before_work=store.check_writable,
    )
    plan = with_sides(plan, versus, cache, machine, narrator)
    prepared = prepare(plan, cache, machine, narrator)
    plan, folder = begin_in_store(plan, store, machine)
    return Run(plan, prepared, folder, machine, cache, narrator)


def with_sides(
    plan: Plan, versus: VersionGateOptions, cache: Path, machine: Machine, narrator: ProgressReporter
) -> Plan:
    """Return the plan with each variant once a side."""
    made: dict[str, Side] = {}
    for name, ref in versus.refs.items():
        if name == BASE_AGAIN:
            made[name] = made[BASE].model_copy(update={"name": BASE_AGAIN})
        else:
            made[name] = _side(name, ref, plan, versus, cache, machine, narrator)
    sides = tuple(made.values())
    variants = tuple(f"{variant}{SIDE_MARK}{side.name}" for variant in plan.variants for side in sides)
    shown = {**plan.configuration, "variants": list(variants), "sides": [side.facts() for side in sides]}
    return plan.model_copy(update={"sides": sides, "variants": variants, "configuration": shown})


def pairings(records: Sequence[Record]) -> list[GatedCell]:
    """Return base and head of every cell of a run, with base again where it was measured."""
    cells: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        if name := side_of(record.cell.variant):
            key = (record.cell.group, without_side(record.cell.variant))
            cells.setdefault(key, {})[name] = record
    return [
        GatedCell(found[BASE], found[HEAD], found.get(BASE_AGAIN), strict=("environment",))
        for found in cells.values()
        if BASE in found and HEAD in found
    ]


def absent(records: Sequence[Record]) -> list[tuple[CellKey, str]]:
    """Return the cells of which a side is missing altogether."""
    found: dict[CellKey, set[str]] = {}
    for record in records:
        if name := side_of(record.cell.variant):
            key = key_of(record)
            found.setdefault(key._replace(variant=without_side(key.variant)), set()).add(name)
    return [
        (key, f"there is no record of {side}")
        for key, sides in found.items()
        for side in (BASE, HEAD)
        if side not in sides
    ]


def _check(wanted: RunOptions, versus: VersionGateOptions) -> None:
    kinds = {versus.base.kind, versus.head.kind}
    if "model" in kinds and kinds != {"model"}:
        raise UsageError(
            "one REF is a model and the other is code.",
            where="--base, --head",
            remedy="Compare two models, or two versions of the code on one --model.",
        )
    if wanted.ladder or wanted.command:
        raise UsageError("base and head are compared on variants of the catalog.", where="bench gate")


def _model(ref: Ref, model: str) -> str:
    return str(ref.path) if ref.kind == "model" else model


def _side(
    name: str,
    ref: Ref,
    plan: Plan,
    versus: VersionGateOptions,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
) -> Side:
    if ref.kind == "model":
        checkpoint = find_checkpoint(str(ref.path), plan.task_words, cache, machine)
        return Side(name=name, ref=ref.words, checkpoint=checkpoint, revision=plan.revision)
    code = versus.build(ref, cache, narrator.warn, versus.environment)
    revision = plan.revision if ref.kind == "here" else code.revision
    side = Side(name=name, ref=ref.words, python=code.python, source=code.source, revision=revision)
    introduction = _introduction(side, plan, machine)
    _check_source(side, introduction)
    place = cache / "refs" / "cache" / introduction.code[:16]
    return side.model_copy(update={"cache": str(place), "software": dict(introduction.software)})


def _introduction(side: Side, plan: Plan, machine: Machine) -> Introduction:
    """Start one worker of a side and return its introduction."""
    worker = machine.launch(plan.cpus, plan.threads, side)
    try:
        return worker.send(HelloRequest(PROTOCOL_VERSION))
    finally:
        worker.end()


def _check_source(side: Side, introduction: Introduction) -> None:
    """Refuse code that comes from elsewhere than it should: it would pass every comparison with itself."""
    has_ours = side.source and (Path(side.source) / "harness").is_dir()
    if has_ours and Path(introduction.source) != Path(side.source).resolve():
        raise MeasurementError(
            "its workers load the code of another folder.",
            where=side.ref,
            remedy="Unset PYTHONPATH, or give it an environment of its own: --environment own.",
        )
