"""`bench plan`: from the times of a run to machines, latency, joules and money."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.completion import complete_runs
from harness.cli.options.cost import PriceOptions, grid
from harness.cli.options.data import DataFiles
from harness.cli.options.execution import Busy
from harness.cli.options.groups import OptionGroup, run_options
from harness.cli.options.output import Json, OutputFile, PlotFolder, StoreFolder
from harness.cli.options.panels import how_option, output_option, what_option
from harness.cli.options.selection import LadderParameters, ModelName, load_ladder
from harness.cli.options.units import parse_duration, split_names
from harness.cli.results.plan_demand import DemandOptions
from harness.cli.results.plan_machines import machine_types
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from harness.analysis.capacity.plan import CapacityPlan, PlanOptions
    from harness.analysis.capacity.queueing.batching import Batching
    from harness.analysis.capacity.validation import ValidatedLoad
    from harness.records.ladder import Ladder
    from harness.records.record import Record
    from harness.runs.planning.options import RunOptions

_BATCHING = re.compile(r"(\d{1,6}):(.+)")


class SizingOptions(OptionGroup):
    """The objective, the machines, and how they are used."""

    slo: Annotated[str, what_option("--slo pNN=TIME", "Latency to keep: p99=50ms.")] = "p99=50ms"
    machines: Annotated[
        str,
        what_option(
            "--machines NAME|FILE,...",
            "Instance types to rent: m5.xlarge, NAME@FILE or FILE (default: one like the measured).",
        ),
    ] = ""
    batching: Annotated[
        str,
        how_option("--batching N:TIME,...", "Also servers that collect up to N requests or TIME: 8:5ms."),
    ] = ""
    headroom: Annotated[
        float, how_option("--headroom SHARE", "Highest utilisation at the peak.", min=0.01, max=0.98)
    ] = 0.7
    spare: Annotated[str, how_option("--spare n+K", "Machines beyond those that are needed.")] = "n+0"
    dispatch: Annotated[
        str,
        how_option("--dispatch NAME", "Between machines: round-robin, random, least-loaded or one-queue."),
    ] = "round-robin"
    whole_day: Annotated[
        bool, how_option("--whole-day", "Simulate every request of the day for its p99, not a sample.")
    ] = False

    def options(self, cost: PriceOptions) -> "PlanOptions":
        """Return the options of the plan; UsageError for one that cannot be read."""
        from harness.analysis.capacity.plan import PlanOptions
        from harness.analysis.capacity.queueing.dispatch import DISPATCHES
        from harness.analysis.capacity.sizing import Objective
        from harness.common.errors import unknown_name
        from harness.runs.planning.slo import parse

        objective = parse(self.slo)
        dispatch = next((name for name in DISPATCHES if name == self.dispatch), None)
        if dispatch is None:
            raise unknown_name("dispatch", self.dispatch, DISPATCHES)
        batchings = tuple(_batching(word) for word in split_names(self.batching))
        if len(set(batchings)) < len(batchings):
            raise UsageError(f"--batching {self.batching} names a batching twice.", remedy="Name each once.")
        if batchings and dispatch == "least-loaded":
            raise UsageError(
                "batches are not simulated with least-loaded dispatch.",
                where="--dispatch",
                remedy="Choose round-robin, random or one-queue.",
            )
        return PlanOptions(
            Objective(objective.percentile, objective.bound_ns / 1e9, self.headroom),
            machine_types(self.machines, cost.price_list()),
            dispatch,
            self._spare_machines(),
            batchings,
            self.whole_day,
        )

    def _spare_machines(self) -> int:
        number = self.spare.strip().lower().removeprefix("n+")
        if not (number.isascii() and number.isdecimal() and len(number) <= 6):  # noqa: PLR2004 -- machines
            raise UsageError(f"expected --spare n+1 or a number, got {self.spare!r}.", remedy="Write n+1.")
        return int(number)


class ValidationOptions(OptionGroup):
    """Whether the plan is compared with a measurement, and what that is made with."""

    validate: Annotated[
        bool,
        how_option(
            "--validate",
            "Measure the first row at 30, 60 and 85 % of this machine; give --data, --model as in the run.",
        ),
    ] = False
    validate_for: Annotated[
        str, how_option("--validate-for TIME", "With --validate: how long at most. Longer windows vary less.")
    ] = "10m"
    validation: Annotated[str, how_option("--validation RUN", "Compare with a run that --validate made.")] = (
        ""
    )
    model: ModelName = "embedded"
    busy: Busy = "wait"
    ladder: Annotated[
        str, what_option("--ladder NAME|FILE", "Ladder of a rung to validate (default: that of the record).")
    ] = ""
    parameters: LadderParameters = None

    def check(self) -> None:
        """Raise UsageError for both options at once, and for a ladder where nothing is measured."""
        if self.validate and self.validation:
            raise UsageError(
                "expected --validate or --validation, got both.", remedy="Leave out one of them."
            )
        given = {"--ladder": self.ladder, "--set": self.parameters}
        if not self.validate and (name := next((name for name in given if given[name]), None)):
            raise UsageError(
                "it is for a rung that is measured again.",
                where=name,
                remedy="Add --validate, or leave it out.",
            )

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set the model; the ladder depends on the record."""
        return replace(options, model=self.model)


PlannedRuns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN",
        help="Runs of one machine, or their folders (default: the latest).",
        autocompletion=complete_runs,
    ),
]


def plan(
    context: CliContext,
    demand: DemandOptions,
    sizing: SizingOptions,
    validation: ValidationOptions,
    data: DataFiles,
    cost: PriceOptions,
    runs: PlannedRuns = None,
    format_: Annotated[str, output_option("--format NAME", "text, markdown, html or json.")] = "text",
    output: OutputFile = None,
    plots: PlotFolder = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Plan the machines for a rate of requests, from the times of a run."""
    from harness.analysis.capacity.plan import make_plan
    from harness.analysis.loading import find_records, samples_in
    from harness.cli.output.delivery import deliver_text, write_plots
    from harness.cli.output.report_output import terminal_style
    from reports.documents import capacity

    form = "json" if json else format_
    capacity.check_format(form)
    validation.check()
    wanted, options, intensity = demand.demand(), sizing.options(cost), grid(cost.carbon)
    loaded = [find_records(name, context.open_store(store)) for name in runs or ["latest"]]
    records = [record for part in loaded for record in part.records]
    samples = samples_in({record.run: part.folder for part in loaded for record in part.records})
    made = make_plan(records, samples, wanted, options)
    _require_rows(made, runs or ["latest"], records, samples)
    loads = _validated(context, made, validation, data, store)
    width, color = terminal_style(plain=output is not None)
    text = capacity.render(made, form, intensity, loads, width=width, color=color)
    if plots:
        write_plots(plots, capacity.plots(made))
    deliver_text(text.rstrip("\n"), output, form=form)


def _batching(word: str) -> "Batching":
    from harness.analysis.capacity.queueing.batching import Batching

    match = _BATCHING.fullmatch(word)
    if not match or int(match[1]) < 2:  # noqa: PLR2004 -- a batch
        raise UsageError(
            f"expected a number of requests from 2 on and a time, got {word!r}.",
            where="--batching",
            remedy="Write 8:5ms: up to 8 requests, or what arrives in 5 ms.",
        )
    return Batching(int(match[1]), parse_duration(match[2], "--batching", "5ms"))


def _validated(
    context: CliContext,
    made: "CapacityPlan",
    validation: ValidationOptions,
    data: DataFiles,
    store: "Path | None",
) -> "tuple[ValidatedLoad, ...]":
    from harness.cli.output.progress import progress_reporter
    from harness.runs.capacity_check import check_plan, first_measurable

    if validation.validation:
        return _compared(context, made, validation, store)
    if not validation.validate:
        return ()
    budget_s = parse_duration(validation.validate_for, "--validate-for", "45m")
    times = first_measurable(made)
    given = replace(run_options(data, validation), ladder=_ladder(times.record, validation, context))
    machine = context.machine()
    with progress_reporter(quiet=False) as progress, machine.hold_cpus(validation.busy, progress.warn):
        return check_plan(
            times,
            made.options.objective.percent,
            given,
            budget_s,
            catalog=context.catalog(),
            store=context.open_store(store),
            cache=context.cache(),
            machine=machine,
            progress=progress,
        )


def _compared(
    context: CliContext, made: "CapacityPlan", validation: ValidationOptions, store: "Path | None"
) -> "tuple[ValidatedLoad, ...]":
    from harness.analysis.capacity.validation import validate_by
    from harness.analysis.loading import find_records, samples_in
    from harness.runs.capacity_check import first_measurable

    loaded = find_records(validation.validation, context.open_store(store))
    samples = samples_in({record.run: loaded.folder for record in loaded.records})
    times = first_measurable(made)
    return validate_by(times, loaded.records, samples, made.options.objective.percent)


def _ladder(record: "Record", validation: ValidationOptions, context: CliContext) -> "Ladder | None":
    """Return the ladder of a rung's record, with that rung alone; None for a variant of the catalog."""
    if not record.cell.rung:
        return None
    recorded = record.configuration.get("ladder")
    fields = recorded if isinstance(recorded, dict) else {}
    values = fields.get("parameters") or {}
    parameters = validation.parameters or [f"{name}={dumps(value)}" for name, value in values.items()]
    name = validation.ladder or str(fields.get("name") or "")
    try:
        return load_ladder(name, record.cell.variant, parameters, context.catalog())
    except UsageError as error:
        raise UsageError(
            f"the ladder of {record.cell.variant} cannot be made again: {error.message}",
            where=error.where or "--validate",
            remedy="Give --ladder and --set as in the run.",
        ) from None


def _require_rows(
    made: "CapacityPlan",
    runs: "Sequence[str]",
    records: "Sequence[Record]",
    samples: "Callable[[Record], object | None]",
) -> None:
    if not made.rows:
        reason = made.refusals[0].reason.rstrip(".")
        raise UsageError(
            f"no variant meets the objective, or shows its service times: {reason}.",
            where=", ".join(runs),
            remedy=_remedy(records, samples),
        )


def _remedy(records: "Sequence[Record]", samples: "Callable[[Record], object | None]") -> str:
    timed = [record for record in records if record.cell.scenario in ("single-stream", "server")]
    if any(samples(record) is not None for record in timed):
        return "Allow a longer latency (--slo), or use a faster variant."
    if timed:
        return "Copy the run with its files of samples (*.npz), or measure again."
    return "Measure with --scenario single-stream, or server --rate N for several instances."
