"""The gate of two versions: base and head in one run, interleaved round by round on one machine.

REF, REF --code_of--> sides --handshake--> software --run--> records of base, head, base again --> gate

Interleaving is necessary on a shared machine, where a disturbance then slows both sides. Base is measured
twice, by two processes: the difference of base from itself is the noise that the change of head is compared
with.
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
    """Two REFs, whether base is measured twice, and the environment of a revision."""

    base: Ref
    head: Ref
    twice: bool = True
    environment: Environment = "auto"
    build: Builder = code_of

    @property
    def refs(self) -> dict[str, Ref]:
        """The REF of each side, by its name."""
        refs = {BASE: self.base, HEAD: self.head}
        return {**refs, BASE_AGAIN: self.base} if self.twice else refs


def start(
    options: RunOptions,
    versions: VersionGateOptions,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    progress: ProgressReporter,
) -> Run:
    """Check the options, build the environments, prepare each side with its own code, write the plan."""
    _check(options, versions)
    if versions.head.kind == "model":
        options = replace(options, model=str(versions.head.path))
    plan = plan_run(options, catalog, cache, machine, progress, before_work=store.check_writable)
    plan = with_sides(plan, versions, cache, machine, progress)
    prepared = prepare(plan, cache, machine, progress)
    plan, folder = begin_in_store(plan, store, machine)
    return Run(plan, prepared, folder, machine, cache, progress)


def with_sides(
    plan: Plan, versions: VersionGateOptions, cache: Path, machine: Machine, progress: ProgressReporter
) -> Plan:
    """Return the plan with each variant once per side."""
    by_name: dict[str, Side] = {}
    progress.stage("set up base and head", len(versions.refs))
    for name, ref in versions.refs.items():
        progress.detail(name)
        if name == BASE_AGAIN:
            by_name[name] = by_name[BASE].model_copy(update={"name": BASE_AGAIN})
        else:
            by_name[name] = _side(name, ref, plan, versions, cache, machine, progress)
        progress.step()
    sides = tuple(by_name.values())
    variants = tuple(f"{variant}{SIDE_MARK}{side.name}" for variant in plan.variants for side in sides)
    facts = {"variants": list(variants), "sides": [side.facts() for side in sides]}
    configuration = {**plan.configuration, **facts}
    return plan.model_copy(update={"sides": sides, "variants": variants, "configuration": configuration})


def pairings(records: Sequence[Record]) -> list[GatedCell]:
    """Return base and head of every cell of a run, with base again if it was measured."""
    cells: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        if name := side_of(record.cell.variant):
            key = (record.cell.group, without_side(record.cell.variant))
            cells.setdefault(key, {})[name] = record
    return [
        GatedCell(sides[BASE], sides[HEAD], sides.get(BASE_AGAIN), strict=("environment",))
        for sides in cells.values()
        if BASE in sides and HEAD in sides
    ]


def absent(records: Sequence[Record]) -> list[tuple[CellKey, str]]:
    """Return the cells that lack a record of one side, with the reason."""
    sides_of: dict[CellKey, set[str]] = {}
    for record in records:
        if name := side_of(record.cell.variant):
            key = key_of(record)
            sides_of.setdefault(key._replace(variant=without_side(key.variant)), set()).add(name)
    return [
        (key, f"there is no record of {side}")
        for key, sides in sides_of.items()
        for side in (BASE, HEAD)
        if side not in sides
    ]


def _check(options: RunOptions, versions: VersionGateOptions) -> None:
    kinds = {versions.base.kind, versions.head.kind}
    if "model" in kinds and kinds != {"model"}:
        raise UsageError(
            "one REF is a model and the other is code.",
            where="--base, --head",
            remedy="Compare two models, or two versions of the code on one --model.",
        )
    if options.ladder or options.command:
        raise UsageError(
            "base and head can only be compared on variants of the catalog.",
            where="bench gate",
            remedy="Leave out the ladder or the command, and name variants.",
        )


def _side(
    name: str,
    ref: Ref,
    plan: Plan,
    versions: VersionGateOptions,
    cache: Path,
    machine: Machine,
    progress: ProgressReporter,
) -> Side:
    if ref.kind == "model":
        checkpoint = find_checkpoint(str(ref.path), plan.task_words, cache, machine)
        return Side(name=name, ref=ref.name, checkpoint=checkpoint, revision=plan.revision)
    code = versions.build(ref, cache, progress.warn, versions.environment)
    revision = plan.revision if ref.kind == "here" else code.revision
    side = Side(name=name, ref=ref.name, python=code.python, source=code.source, revision=revision)
    introduction = _introduction(side, plan, machine)
    _check_source(side, introduction)
    side_cache = cache / "refs" / "cache" / introduction.code[:16]
    return side.model_copy(update={"cache": str(side_cache), "software": dict(introduction.software)})


def _introduction(side: Side, plan: Plan, machine: Machine) -> Introduction:
    """Start one worker of a side and return its introduction: source, hash of the code, software."""
    worker = machine.launch(plan.cpus, plan.threads, side)
    try:
        return worker.send(HelloRequest(PROTOCOL_VERSION))
    finally:
        worker.end()


def _check_source(side: Side, introduction: Introduction) -> None:
    """Raise MeasurementError if workers loaded other code: a version would be compared with itself."""
    has_harness = side.source and (Path(side.source) / "harness").is_dir()
    if has_harness and Path(introduction.source) != Path(side.source).resolve():
        raise MeasurementError(
            f"its workers load the code of another folder: {introduction.source}.",
            where=side.ref,
            remedy="Unset PYTHONPATH, or use an environment of its own: --environment own.",
        )
