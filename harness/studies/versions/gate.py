"""The gate of two versions: base and head in one run, interleaved round by round on one machine.

REF, REF --code_of--> sides --handshake--> software --run--> records of base, head, base again --> gate

Interleaving is necessary on a shared machine, where a disturbance then slows both sides. Base is measured
twice, by two processes: the difference of base from itself is the noise that the change of head is compared
with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.analysis.comparison import CellKey, key_of
from harness.analysis.gate.gate import GatedCell
from harness.catalog import Catalog
from harness.common.errors import MeasurementError, UsageError
from harness.common.progress import NoProgress, ProgressReporter
from harness.measurement.machine.git_revision import revision_of
from harness.records.plan import Plan
from harness.records.record import Record
from harness.records.side import BASE, BASE_AGAIN, HEAD, SIDE_MARK, Side, side_of, without_side
from harness.records.store import Store
from harness.runs.execution.preparation import prepare
from harness.runs.execution.run import Run, begin_in_store
from harness.runs.planning.options import RunOptions, check_each
from harness.runs.planning.planner import find_checkpoint, plan_run
from harness.runs.services import Machine
from harness.runs.worker.messages import PROTOCOL_VERSION, HelloRequest, Introduction
from harness.studies.versions.projects import Project, check_head, find_model
from harness.studies.versions.refs import Environment, Ref, SideCode, check_clean, code_of

Builder = Callable[[Ref, Path, Callable[[str], None], Environment], SideCode]


@dataclass(frozen=True, slots=True)
class VersionGateOptions:
    """Two REFs, whether base is measured twice, and the environment of a revision.

    In a user's own project, `setup` is the command that makes the model. `folder` is the working folder.
    """

    base: Ref
    head: Ref
    twice: bool = True
    environment: Environment = "auto"
    build: Builder = code_of
    setup: str = ""
    folder: Path = field(default_factory=Path.cwd)

    @property
    def refs(self) -> dict[str, Ref]:
        """The REF of each side, by its name."""
        refs = {BASE: self.base, HEAD: self.head}
        return {**refs, BASE_AGAIN: self.base} if self.twice else refs

    @property
    def is_project(self) -> bool:
        """Whether a side is a user's own project, so that the models of both sides are compared."""
        return "project" in (self.base.kind, self.head.kind)


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
    check_versions(options, versions)
    if versions.is_project:
        check_each(options, catalog, machine, NoProgress())  # before a setup command that may take hours
        store.check_writable()
        versions = _with_models(options, versions, cache, progress)
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
    return _with(plan, tuple(by_name.values()))


def unprepared_sides(plan: Plan, versions: VersionGateOptions) -> Plan:
    """Return the plan of a dry run with each variant once per side; nothing is checked out or started."""
    return _with(plan, tuple(Side(name=name, ref=ref.name) for name, ref in versions.refs.items()))


def _with(plan: Plan, sides: tuple[Side, ...]) -> Plan:
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


def check_versions(options: RunOptions, versions: VersionGateOptions) -> None:
    """Raise UsageError if the two REFs, or the options, cannot be compared at a gate."""
    kinds = {versions.base.kind, versions.head.kind}
    if ("model" in kinds and kinds != {"model"}) or (versions.is_project and kinds - {"project", "here"}):
        raise UsageError(
            "one REF is a model or a project, and the other is code.",
            where="--base, --head",
            remedy="Compare two models, two revisions of a project, or two versions of the code.",
        )
    if versions.setup and not versions.is_project:
        raise UsageError(
            "--setup makes the model of a project, and no REF is a revision or a folder of one.",
            where="--setup",
            remedy="Leave it out, or name a revision of the repository with your model or its training.",
        )
    if options.null_test or options.null_copies is not None or options.condition:
        raise UsageError(
            "a gate is no null test: it measures base twice, which shows the noise.",
            where="--null-test, --null-copies, --condition",
            remedy="Leave them out, or use `bench run --null-test VARIANT`.",
        )
    if versions.head.kind == "revision":
        check_clean(versions.head, versions.folder)
    if options.ladder or options.command or options.servers:
        raise UsageError(
            "base and head can only be compared on variants of the catalog.",
            where="bench gate",
            remedy="Leave out the ladder, the command or the server, and name variants.",
        )


def _with_models(
    options: RunOptions, versions: VersionGateOptions, cache: Path, progress: ProgressReporter
) -> VersionGateOptions:
    """Return the models of two projects in place of the projects."""
    project = Project(options.model, versions.setup, versions.folder)
    check_head(versions.head, project)
    base, head = (find_model(ref, project, cache, progress.warn) for ref in (versions.base, versions.head))
    return replace(versions, base=base, head=head)


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
        revision = ref.revision or revision_of(ref.path or versions.folder)
        return Side(name=name, ref=ref.name, checkpoint=checkpoint, revision=revision)
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
