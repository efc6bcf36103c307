"""`bench plan`: from the times of a run to machines, latency, joules and money."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.cost import CostOptions
from harness.cli.options.data import DataFiles
from harness.cli.options.execution import Busy
from harness.cli.options.groups import OptionGroup, run_options
from harness.cli.options.output import Json, OutputFile, StoreFolder
from harness.cli.options.panels import amount_option, how_option, output_option, what_option
from harness.cli.options.selection import ModelName
from harness.common.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.analysis.capacity.demand import Demand
    from harness.analysis.capacity.plan import CapacityPlan, PlanOptions, PowerModel
    from harness.analysis.capacity.validation import ValidatedLoad
    from harness.analysis.loading import LoadedRecords
    from harness.records.record import Record

_SUFFIXES = {"k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
_TIMES, _COUNTS = "seconds", "requests"


class DemandOptions(OptionGroup):
    """How many requests arrive."""

    rate: Annotated[
        float | None, amount_option("--rate N", "Requests per second, all day.")
    ] = None
    requests_per_day: Annotated[
        str | None, amount_option("--requests-per-day N", "Requests of a day: 100M, 2.5k or 5000.")
    ] = None
    peak_factor: Annotated[
        float | None,
        amount_option("--peak-factor F", "Rate of the busiest hour over the mean (default: 1)."),
    ] = None
    arrivals: Annotated[
        Path | None,
        amount_option("--arrivals FILE", "Trace, CSV: column seconds, alone or with requests."),
    ] = None

    def demand(self) -> "Demand":
        """Return the demand; UsageError unless it is given in exactly one way."""
        from harness.analysis.capacity.demand import constant_demand, daily_demand

        given = [value is not None for value in (self.rate, self.requests_per_day, self.arrivals)]
        if sum(given) != 1:
            raise UsageError(
                "expected one of --rate, --requests-per-day and --arrivals, got "
                f"{'none' if not any(given) else 'several'}.",
                remedy="For instance: --requests-per-day 100M --peak-factor 3.",
            )
        if self.peak_factor is not None and self.requests_per_day is None:
            raise UsageError("--peak-factor belongs to --requests-per-day.", remedy="Leave it out.")
        if self.rate is not None:
            return constant_demand(self.rate)
        if self.requests_per_day is not None:
            return daily_demand(_amount(self.requests_per_day), self.peak_factor or 1.0)
        return _trace(self.arrivals or Path())


class SizingOptions(OptionGroup):
    """The objective, and how machines are used."""

    slo: Annotated[str, what_option("--slo pNN=TIME", "Latency to keep: p99=50ms.")] = "p99=50ms"
    headroom: Annotated[
        float, how_option("--headroom SHARE", "Highest utilisation at the peak.", min=0.01, max=0.98)
    ] = 0.7
    spare: Annotated[str, how_option("--spare n+K", "Machines beyond those that are needed.")] = "n+0"
    dispatch: Annotated[
        str, how_option("--dispatch NAME", "Between machines: round-robin, random, least-loaded or one-queue.")
    ] = "round-robin"
    machine: Annotated[
        str, how_option("--machine NAME", "Instance whose published power a machine draws: m5.xlarge.")
    ] = ""

    def options(self) -> "PlanOptions":
        """Return the options of the plan; UsageError for one that cannot be read."""
        from harness.analysis.capacity.plan import PlanOptions
        from harness.analysis.capacity.sizing import Objective
        from harness.analysis.capacity.queueing.dispatch import DISPATCHES
        from harness.common.errors import unknown_name
        from harness.runs.planning.slo import parse

        objective = parse(self.slo)
        dispatch = next((name for name in DISPATCHES if name == self.dispatch), None)
        if dispatch is None:
            raise unknown_name("dispatch", self.dispatch, DISPATCHES)
        return PlanOptions(
            Objective(objective.percentile, objective.bound_ns / 1e9, self.headroom),
            dispatch,
            self._spare_machines(),
            _power(self.machine) if self.machine else None,
        )

    def _spare_machines(self) -> int:
        number = self.spare.strip().lower().removeprefix("n+")
        if not number.isdecimal():
            raise UsageError(f"expected --spare n+1 or a number, got {self.spare!r}.", remedy="Write n+1.")
        return int(number)


class ValidationOptions(OptionGroup):
    """Whether the plan is compared with a measurement, and what that is made with."""

    validate: Annotated[
        bool,
        how_option("--validate", "Measure the first row at 30, 60 and 85 % of a machine; give --data, --model."),
    ] = False
    model: ModelName = "embedded"
    busy: Busy = "wait"


def plan(
    context: CliContext,
    demand: DemandOptions,
    sizing: SizingOptions,
    validation: ValidationOptions,
    data: DataFiles,
    cost: CostOptions,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run, folder or record.")] = "latest",
    format_: Annotated[str, output_option("--format NAME", "text, markdown or json.")] = "text",
    output: OutputFile = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Plan the machines for a rate of requests, from the times of a run."""
    from harness.analysis.capacity.plan import make_plan
    from harness.analysis.loading import find_records, samples_in
    from harness.cli.output.delivery import deliver_text
    from harness.cli.output.report_output import terminal_style
    from reports.documents import capacity

    wanted, options, factors = demand.demand(), sizing.options(), cost.factors()
    loaded = find_records(run, context.open_store(store))
    samples = samples_in({loaded.records[0].run: loaded.folder})
    made = make_plan(loaded.records, samples, wanted, options)
    if not made.rows:
        raise UsageError(
            f"no variant meets the objective, or shows its service times: {made.refusals[0].reason.rstrip('.')}.",
            where=run,
            remedy=_remedy(loaded, samples),
        )
    loads = _validated(context, made, validation, data, store) if validation.validate else ()
    width, color = terminal_style(plain=output is not None)
    form = "json" if json else format_
    text = capacity.render(made, form, factors.prices[0], factors.grid, loads, width=width, color=color)
    deliver_text(text.rstrip("\n"), output)


def _validated(
    context: CliContext,
    made: "CapacityPlan",
    validation: ValidationOptions,
    data: DataFiles,
    store: "Path | None",
) -> "tuple[ValidatedLoad, ...]":
    from harness.cli.output.progress import progress_reporter
    from harness.runs.capacity_check import check_plan

    given = run_options(data, validation)
    machine = context.machine()
    with progress_reporter(quiet=False) as progress, machine.hold_cpus(validation.busy, progress.warn):
        return check_plan(
            made.rows[0],
            made.options.objective.percent,
            given,
            catalog=context.catalog(),
            store=context.open_store(store),
            cache=context.cache(),
            machine=machine,
            progress=progress,
        )


def _remedy(loaded: "LoadedRecords", samples: "Callable[[Record], object | None]") -> str:
    timed = [record for record in loaded.records if record.cell.scenario in ("single-stream", "server")]
    if any(samples(record) is not None for record in timed):
        return "Allow a longer latency (--slo), or use a faster variant."
    if timed:
        return "Copy the run with its files of samples (*.npz), or measure again."
    return "Measure with --scenario single-stream, or server --rate N for several instances."


def _amount(text: str) -> float:
    """Return 1e8 of `100M`; UsageError for anything else."""
    stripped = text.strip().replace(",", "").replace("_", "")
    factor = _SUFFIXES.get(stripped[-1:], 1.0)
    number = stripped[:-1] if stripped[-1:] in _SUFFIXES else stripped
    try:
        return float(number) * factor
    except ValueError:
        raise UsageError(
            f"--requests-per-day expects a number such as 100M, got {text!r}.", remedy="Use k, M or G."
        ) from None


def _trace(path: Path) -> "Demand":
    from harness.analysis.capacity.demand import traced_demand
    from harness.common.inputs.files import DATA, read_input

    content = read_input(path, DATA, DataError, remedy="--arrivals names a CSV file.")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace"))))
    if not rows or _TIMES not in rows[0]:
        raise DataError(
            f"the trace has no column {_TIMES}.",
            where=str(path),
            remedy=f"Its first line names the columns: {_TIMES}, or {_TIMES},{_COUNTS}.",
        )
    times = _numbers(rows, _TIMES, path)
    counts = _numbers(rows, _COUNTS, path) if _COUNTS in rows[0] else None
    return traced_demand(times, counts, path.name)


def _numbers(rows: list[dict[str, str]], column: str, path: Path) -> list[float]:
    numbers = []
    for line, row in enumerate(rows, 2):
        try:
            numbers.append(float(row[column]))
        except (TypeError, ValueError):
            raise DataError(
                f"expected a number in column {column}, got {row[column]!r}.", where=f"{path}:{line}"
            ) from None
    return numbers


def _power(name: str) -> "PowerModel":
    from harness.analysis.capacity.plan import PowerModel
    from harness.common.errors import unknown_name
    from harness.measurement.energy.cpu.models.power_curve_file import read_curves
    from harness.measurement.energy.cpu.models.power_curves import same_name, watts_at

    curves = read_curves()
    instance_name = same_name(name, curves.instances)
    if instance_name is None:
        raise unknown_name("instance", name, curves.instances)
    instance = curves.instances[instance_name]

    def watts(utilisation: float) -> float:
        return instance.vcpus * watts_at(instance.curve.points, utilisation)

    return PowerModel(watts, f"modelled by the published power of {instance_name}: {curves.source}, {curves.date}")
