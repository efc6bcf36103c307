"""`bench gate`: compare a run with a pinned reference, or two versions with one another, under rules."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.measure.gate_options import GateOptions
from harness.cli.options.amount import LaunchOptions
from harness.cli.options.config_file import RunControl, cross_options
from harness.cli.options.data import MeasuredData
from harness.cli.options.execution import RunExecution
from harness.cli.options.groups import run_options
from harness.cli.options.load import LoadOptions
from harness.cli.options.output import RecordOutput
from harness.cli.options.panels import output_option
from harness.cli.options.selection import ModelOptions, ProtocolName, VariantOptions, apply_protocol
from harness.cli.options.units import plural
from harness.common.errors import ExitCode, UsageError, unknown_name

if TYPE_CHECKING:
    from harness.analysis.comparison.quantities import Samples
    from harness.analysis.gate.gate import GateOutcome
    from harness.analysis.gate.rules import GateRule
    from harness.analysis.loading import LoadedRecords
    from harness.common.progress import ProgressReporter
    from harness.measurement.machine.host_lock import OnBusy
    from harness.records.record import Record
    from harness.records.store import Store
    from harness.runs.execution.run import Run
    from harness.runs.planning.options import RunOptions
    from harness.studies.versions.gate import VersionGateOptions

Format = Annotated[str, output_option("--format NAME", "text, markdown, json, junit or github-annotations.")]


def gate(
    typer_context: typer.Context,
    context: CliContext,
    gate: GateOptions,
    data: MeasuredData,
    model: ModelOptions,
    variants: VariantOptions,
    amount: LaunchOptions,
    load: LoadOptions,
    execution: RunExecution,
    control: RunControl,
    output: RecordOutput,
    protocol: ProtocolName = "",
    format_: Format = "text",
) -> None:
    """Fail (exit 3) where a run or a version breaks a rule.

    A run is compared with its pinned reference, and --head with --base.
    """
    from harness.analysis.gate.rules import read_rules
    from reports.documents.gate import FORMATS, render

    if format_ not in FORMATS:
        raise unknown_name("format", format_, FORMATS)
    gate.check(control.resume)
    store = context.open_store(output.store)
    if gate.pin:
        _pin(gate.pin, store)
        return
    rules = read_rules(gate.rules, context.defaults)
    if gate.run:
        outcome = _check_run(gate.run, store, rules, frozenset(gate.allow_changed or ()))
    else:
        options = run_options(data, model, variants, load, amount, execution)
        options = replace(options, quality=amount.quality or "full")  # rules bound it
        options = _one_run(cross_options(typer_context, apply_protocol(typer_context, protocol, options)))
        records = _records(context, options, gate, data.split, control, output, execution.busy)
        outcome = _check_versions(records, rules)
    typer.echo(render(outcome, "json" if output.json else format_).rstrip("\n"))
    raise typer.Exit(ExitCode.DONE if gate.allow_noise and outcome.only_noise else outcome.exit_code)


def _records(
    context: CliContext,
    options: "RunOptions",
    gate: GateOptions,
    split: str | None,
    control: RunControl,
    output: RecordOutput,
    busy: "OnBusy",
) -> "LoadedRecords":
    """Measure base and head, or the rest of an interrupted run of them; a dry run is printed and exits."""
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held
    from harness.studies.versions.gate import check_versions

    store = context.open_store(output.store)
    with (
        progress_reporter(quiet=output.quiet) as progress,
        cpus_held(context.machine(), busy, notices(progress, quiet=output.quiet)) as hold_cpus,
    ):
        if control.resume is not None:
            hold_cpus()
            records = _finish_run(context, control.resume, store, progress)
        else:
            options, versions = _of_one_task(options, split, progress), _versions(gate)
            if control.dry_run:
                typer.echo(_dry_run(context, options, versions, store, progress, json=output.json))
                raise typer.Exit
            check_versions(options, versions)
            hold_cpus()
            records = _measure_versions(context, options, versions, store, progress)
    if not output.quiet:
        typer.echo(f"Records: {records.folder}", err=True)
    return records


def _pin(name: str, store: "Store") -> None:
    from harness.analysis.gate.pinned_references import make_pin, write_pin
    from harness.analysis.loading import find_records, sample_access_of, sealed_in

    loaded = find_records(name, store)
    pin = make_pin(loaded.records, sample_access_of([loaded]), sealed_in(loaded.folder))
    path = write_pin(store.root, pin)
    noise = (
        "with the noise of its null test" if pin.noise else "without a null test: default tolerances apply"
    )
    typer.echo(f"Pinned {plural(len(pin.records), 'record')} of {pin.run}, {noise}: {path}")


def _check_run(
    name: str, store: "Store", rules: "tuple[GateRule, ...]", allowed: frozenset[str]
) -> "GateOutcome":
    """Compare a run with its pinned reference; a run of base and head, with itself."""
    from harness.analysis.comparison import SampleAccess
    from harness.analysis.gate.gate import AllowedDifferences, check_gate
    from harness.analysis.gate.pinned_references import pairings, pin_for, read_pins
    from harness.analysis.loading import find_records, sample_access_of
    from harness.cli.output.records import report_unreadable
    from harness.records.side import BASE, side_of

    loaded = find_records(name, store)
    report_unreadable([loaded])
    if any(side_of(record.cell.variant) == BASE for record in loaded.records):
        return _check_versions(loaded, rules)
    pin = pin_for(loaded.records, read_pins(store.root))
    raw = sample_access_of([loaded])
    pinned = {record.cell.id for record in pin.records}

    def samples(record: "Record") -> "Samples | None":
        is_pinned = record.run == pin.run and record.cell.id in pinned
        return pin.arrays(record) if is_pinned else raw.samples(record)

    pairs, absent = pairings(loaded.records, pin)
    access = SampleAccess(samples, raw.task)
    return check_gate(pairs, rules, allowed=AllowedDifferences(allowed), raw=access, absent=absent)


def _check_versions(loaded: "LoadedRecords", rules: "tuple[GateRule, ...]") -> "GateOutcome":
    from harness.analysis.gate.gate import check_gate
    from harness.analysis.loading import sample_access_of
    from harness.studies.versions.gate import absent, pairings

    records = loaded.records
    return check_gate(pairings(records), rules, raw=sample_access_of([loaded]), absent=absent(records))


def _of_one_task(options: "RunOptions", split: str | None, progress: "ProgressReporter") -> "RunOptions":
    """Return the options with the split that the task reports on unless one is named."""
    from harness.runs.execution.multi_run import ALL, options_per_task

    if options.task == ALL:
        raise UsageError("expected one task, got all.", where="--task")
    return options_per_task(options, (options.task,), split, progress)[0]


def _one_run(combinations: "list[RunOptions]") -> "RunOptions":
    """Return the options of the only run; UsageError where a file crosses several."""
    if len(combinations) > 1:
        raise UsageError(
            f"expected one run, got a sweep of {len(combinations)}.",
            where="--config",
            remedy="Name one value of each option, or gate the runs one by one.",
        )
    return combinations[0]


def _versions(gate: GateOptions) -> "VersionGateOptions":
    """Return what is compared; UsageError for a REF that names nothing."""
    from harness.studies.versions.gate import VersionGateOptions
    from harness.studies.versions.refs import find_ref

    base, head = (find_ref(ref, Path.cwd()) for ref in (gate.base or "", gate.head))
    return VersionGateOptions(
        base, head, twice=gate.repeat_base, environment=gate.environment, setup=gate.setup
    )


def _dry_run(
    context: CliContext,
    options: "RunOptions",
    versions: "VersionGateOptions",
    store: "Store",
    progress: "ProgressReporter",
    *,
    json: bool,
) -> str:
    from harness.cli.measure.dry_run import format_dry_run
    from harness.studies.versions.gate import check_versions, unprepared_sides

    check_versions(options, versions)
    return format_dry_run(
        context, store, [options], progress, json=json, change=lambda plan: unprepared_sides(plan, versions)
    )


def _measure_versions(
    context: CliContext,
    options: "RunOptions",
    versions: "VersionGateOptions",
    store: "Store",
    progress: "ProgressReporter",
) -> "LoadedRecords":
    from harness.studies.versions.gate import start

    machine = context.machine()
    run = start(options, versions, context.catalog(), store, context.cache(), machine, progress)
    return _measured(run)


def _finish_run(
    context: CliContext, name: str, store: "Store", progress: "ProgressReporter"
) -> "LoadedRecords":
    """Measure the rest of an interrupted gate; UsageError for a run that is not a gate's."""
    from harness.cli.measure.run import resume_runs

    runs = resume_runs(context, store, name, progress)
    if len(runs) != 1 or not runs[0].plan.sides:
        raise UsageError(
            "expected one unfinished run of base and head.",
            where="--resume",
            remedy="Name a run of `bench gate`; `bench run --resume` continues all others.",
        )
    return _measured(runs[0])


def _measured(run: "Run") -> "LoadedRecords":
    from harness.analysis.loading import LoadedRecords
    from harness.cli.measure.run import execute_runs

    return LoadedRecords(execute_runs([run], "gate"), [], run.folder.path)
