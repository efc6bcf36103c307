"""`bench gate`: hold a run against a pinned reference, or one version of the code against another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import (
    Boundary,
    DataFolder,
    DeviceName,
    Json,
    Limit,
    MaxLength,
    ModelName,
    Precision,
    ProfileName,
    QualityOf,
    Quiet,
    Rounds,
    ScenarioNames,
    Seed,
    StoreFolder,
    TaskName,
    Threads,
    TimeBudget,
    VariantNames,
    more_rounds,
    names,
)

if TYPE_CHECKING:
    from harness.analysis.comparison.quantities import Samples
    from harness.analysis.gate.gate import GateOutcome
    from harness.analysis.gate.rules import GateRule
    from harness.analysis.loading import LoadedRecords
    from harness.records.record import Record
    from harness.studies.version_gate import VersionGateOptions

Environment = Annotated[
    Literal["auto", "same", "own"],
    typer.Option(
        "--environment",
        help="Of a git revision: the running interpreter (same), one of its own, or as it needs (auto).",
    ),
]
HeldRun = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Hold this run against its pinned reference.")
]
PinnedRun = Annotated[
    str | None, typer.Option("--pin", metavar="RUN", help="Make this run a pinned reference.")
]
Base = Annotated[
    str | None,
    typer.Option("--base", metavar="REF", help="Measure this version beside --head (docs/gate.md)."),
]
Head = Annotated[str, typer.Option("--head", metavar="REF", help="What is held against --base.")]
Rules = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="Rules (default: bench.yaml, if it is there).")
]
AllowChanged = Annotated[
    list[str] | None,
    typer.Option("--allow-changed", metavar="NAME", help="What may differ: a fact, `host` or `software`."),
]
AllowNoise = Annotated[
    bool, typer.Option("--allow-noise", help="Exit 0 where all that is wrong is noise; it is still said.")
]
Null = Annotated[bool, typer.Option("--null/--no-null", help="Measure base twice, to learn the noise.")]
Format = Annotated[str, typer.Option("--format", help="text, markdown, json, junit or github-annotations.")]


def gate(
    context: typer.Context,
    run: HeldRun = None,
    pin: PinnedRun = None,
    base: Base = None,
    head: Head = "here",
    rules: Rules = None,
    allow_changed: AllowChanged = None,
    allow_noise: AllowNoise = False,
    null: Null = True,
    environment: Environment = "auto",
    task: TaskName = "boolq",
    data: DataFolder = None,
    model: ModelName = "embedded",
    device: DeviceName = "cpu",
    variants: VariantNames = None,
    scenario: ScenarioNames = "",
    boundary: Boundary = "encoded",
    threads: Threads = None,
    max_length: MaxLength = 256,
    profile: ProfileName = "default",
    rounds: Rounds = None,
    precision: Precision = None,
    time_budget: TimeBudget = None,
    limit: Limit = None,
    quality: QualityOf = "full",
    seed: Seed = 0,
    store: StoreFolder = None,
    format_: Format = "text",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fail (exit 3) where a rule is broken: by a run against its reference, or by head against base."""
    from harness.analysis.gate.rules import read_rules

    _one_form(run, pin, base)
    root = context.obj.store(store)
    if pin:
        raise typer.Exit(_pinned(pin, root))
    held = read_rules(rules, context.obj.defaults)
    if run:
        outcome = _of_run(run, root, held, allow_changed or [])
    else:
        versus = _versus(base or "", head, null=null, environment=environment)
        plain = {"task": task, "data": data, "model": model, "device": device, "boundary": boundary}
        sizes = {"threads": threads, "max_length": max_length, "rounds": rounds, "sample": limit}
        named = {"variants": names(variants or "") or None, "scenarios": names(scenario)}
        more = more_rounds(None, precision, time_budget)
        wanted = {**plain, **sizes, **named, **more, "profile": profile, "seed": seed, "quality": quality}
        outcome = _held(_measured(context.obj, wanted, versus, root, quiet=quiet), held)
    _show(outcome, "json" if json else format_)
    raise typer.Exit(0 if allow_noise and outcome.only_noise else outcome.exit_code)


def _one_form(run: str | None, pin: str | None, base: str | None) -> None:
    from harness.common.errors import UsageError

    if sum(each is not None for each in (run, pin, base)) != 1:
        raise UsageError(
            "say what is held against what: one of --run RUN, --base REF and --pin RUN.",
            remedy="--run latest holds the latest run against its pinned reference (docs/gate.md).",
        )


def _pinned(name: str, root: Path) -> int:
    from harness.analysis.gate.pinned_references import make_pin, write_pin
    from harness.analysis.loading import find_records, sample_access_of, sealed_in
    from harness.records.store import Store

    found = find_records(name, Store(root))
    pin = make_pin(found.records, sample_access_of([found]), sealed_in(found.folder))
    path = write_pin(root, pin)
    noise = (
        "with the noise of its null test"
        if pin.noise
        else "without a null test: tolerances are the default ones"
    )
    typer.echo(f"Pinned {len(pin.records)} records of {pin.run}, {noise}: {path}")
    return 0


def _of_run(name: str, root: Path, rules: "tuple[GateRule, ...]", allowed: list[str]) -> "GateOutcome":
    """Hold a run against its pinned reference; one that has both sides in it, against itself."""
    from harness.analysis.comparison import SampleAccess
    from harness.analysis.gate.gate import AllowedDifferences, check_gate
    from harness.analysis.gate.pinned_references import pairings, pin_for, read_pins
    from harness.analysis.loading import find_records, sample_access_of
    from harness.cli.output.records import tell_unreadable
    from harness.records.side import BASE, side_of
    from harness.records.store import Store

    place = Store(root)
    found = find_records(name, place)
    tell_unreadable([found])
    if any(side_of(record.cell.variant) == BASE for record in found.records):
        return _held(found, rules)
    pin = pin_for(found.records, read_pins(root))
    raw = sample_access_of([found])
    pinned = {record.cell.id for record in pin.records}

    def samples(record: "Record") -> "Samples | None":
        is_pinned = record.run == pin.run and record.cell.id in pinned
        return pin.arrays(record) if is_pinned else raw.samples(record)

    held, absent = pairings(found.records, pin)
    names_allowed = AllowedDifferences(frozenset(allowed))
    return check_gate(held, rules, allowed=names_allowed, raw=SampleAccess(samples, raw.task), absent=absent)


def _held(found: "LoadedRecords", rules: "tuple[GateRule, ...]") -> "GateOutcome":
    from harness.analysis.gate.gate import check_gate
    from harness.analysis.loading import sample_access_of
    from harness.studies.version_gate import absent, pairings

    return check_gate(
        pairings(found.records), rules, raw=sample_access_of([found]), absent=absent(found.records)
    )


def _versus(
    base: str, head: str, *, null: bool, environment: Literal["auto", "same", "own"]
) -> "VersionGateOptions":
    from harness.studies.version_gate import VersionGateOptions
    from harness.studies.version_refs import find_ref

    before, after = (find_ref(each, Path.cwd()) for each in (base, head))
    return VersionGateOptions(before, after, twice=null, environment=environment)


def _measured(
    toolbox: CliContext, wanted: dict[str, Any], versus: "VersionGateOptions", root: Path, *, quiet: bool
) -> "LoadedRecords":
    from harness.analysis.loading import LoadedRecords
    from harness.cli.measure.run import measured
    from harness.cli.output.progress import narrator
    from harness.records.store import Store
    from harness.runs.planning.options import RunOptions
    from harness.studies.version_gate import start

    place, cache, machine = Store(root), toolbox.cache(), toolbox.machine()
    with narrator(quiet=quiet) as told:
        run = start(RunOptions(**wanted), versus, toolbox.catalog(), place, cache, machine, told)
        records = measured([run])
    if not quiet:
        typer.echo(f"Records: {run.folder.path}", err=True)
    return LoadedRecords(records, [], run.folder.path)


def _show(outcome: "GateOutcome", form: str) -> None:
    from reports.documents.gate import render

    typer.echo(render(outcome, form).rstrip("\n"))
