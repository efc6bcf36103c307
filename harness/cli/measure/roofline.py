"""`bench roofline`: the peaks of this machine, and the share of them that the systems of a run reach."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.completion import complete_run
from harness.cli.options.execution import Busy
from harness.cli.options.output import Json, StoreFolder
from harness.cli.options.selection import DeviceName
from harness.cli.options.units import plural
from harness.cli.output.terminal import print_json
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.common.json_types import JsonObject
    from harness.common.progress import ProgressReporter
    from harness.records.estimate import Unavailable
    from harness.records.record import Record
    from harness.records.store import Store
    from harness.studies.roofline import RooflinePosition

    Position = tuple[Record, RooflinePosition | Unavailable]
    Products = Mapping[str, Sequence[JsonObject]]
    """Measured products by number of threads."""


def roofline(
    context: CliContext,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run id, latest or a run's folder (default: peaks of the machine only).",
            autocompletion=complete_run,
        ),
    ] = None,
    device: DeviceName = "cpu",
    busy: Busy = "wait",
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Measure this machine's peaks, and a run's share of them."""
    from harness.measurement.machine.devices import one_device
    from harness.studies.roofline import same_host

    machine, device = context.machine(), one_device(device)
    machine.check_device(device)
    fingerprint = machine.host().fingerprint
    records, skipped = _load_run(context.open_store(store), run) if run is not None else ([], False)
    if records:
        same_host(records, fingerprint)
    with machine.hold_cpus(busy, partial(typer.echo, err=True)):
        if device == "cpu":
            _processor_roofline(list(machine.cpus()), records, as_json=json)
        else:
            from harness.cli.measure.device_roofline import device_roofline

            device_roofline(device, records, as_json=json)
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)


def _load_run(store: "Store", run: str) -> "tuple[list[Record], bool]":
    """Return the records of a run, and whether a file of it cannot be read, which is named on stderr."""
    from harness.analysis.loading import find_records
    from harness.cli.output.records import report_unreadable

    loaded = find_records(run, store)
    return loaded.records, report_unreadable([loaded])


def _processor_roofline(cpus: list[int], records: "list[Record]", *, as_json: bool) -> None:
    from harness.cli.output.progress import progress_reporter
    from harness.studies.roofline import roofline_position

    with progress_reporter(quiet=as_json) as progress:
        cores, products = _measure_processor(cpus, records, progress)
    if isinstance(cores, str):
        typer.echo(f"bench: the peaks are unavailable, because {cores}.", err=True)
        raise typer.Exit(ExitCode.NOTHING_MEASURED)
    positions = [(record, roofline_position(record, cores)) for record in records]
    if as_json:
        print_json(_facts(cores, products, positions))
    else:
        _print(cores, products, positions)


def _measure_processor(
    cpus: list[int], records: "list[Record]", progress: "ProgressReporter"
) -> "tuple[JsonObject | str, Products]":
    """Return the peaks of the cores, or why there are none, and the rates of PyTorch's products."""
    from harness.catalog import load_peaks
    from harness.common.progress import TIMED
    from harness.studies.roofline import shapes_of

    peaks = load_peaks()
    products: dict[str, list[JsonObject]] = {}
    progress.stage("measure the cores' peaks", 1, quiet_s=TIMED)
    record_threads = {len(record.placement.cpus) for record in records if record.placement}
    cores = peaks.cores(sorted({1, len(cpus), *record_threads}))
    if isinstance(cores, str):
        return cores, {}
    counts = sorted({1, len(cpus)})
    progress.stage("measure matrix products", len(counts), quiet_s=TIMED)
    for count in counts:
        products[str(count)] = peaks.products(shapes_of(records), cpus[:count])
        progress.step()
    return cores, products


def _missing_instructions(cores: "JsonObject") -> list[str]:
    from harness.analysis.compute_limit import missing_instructions

    return list(missing_instructions(next(iter(cores.values()))["arithmetic"]))


def _facts(cores: "JsonObject", products: "Products", positions: "list[Position]") -> "JsonObject":
    from harness.records.estimate import Unavailable

    systems = [
        {
            **(
                {"variant": record.cell.variant, "unavailable": str(position)}
                if isinstance(position, Unavailable)
                else asdict(position)
            ),
            "operators": record.operators.model_dump() if record.operators else None,
        }
        for record, position in positions
    ]
    return {"cores": cores, "lost": _missing_instructions(cores), "products": products, "systems": systems}


def _print(cores: "JsonObject", products: "Products", positions: "list[Position]") -> None:
    from harness.cli.measure.device_roofline import product_lines

    typer.echo("Arithmetic from registers, 10^9 operations a second (a multiply-add is two)")
    for threads, peaks in cores.items():
        kinds = [
            f"{name} {peak['per_second'] / 1e9:,.0f} ({peak['instruction']})"
            for name, peak in peaks["arithmetic"].items()
        ]
        typer.echo(f"  {plural(int(threads), 'thread')}: {'; '.join(kinds) or 'no kernel for this CPU'}")
    for instruction in _missing_instructions(cores):
        typer.echo(f"  this processor lacks {instruction}")
    typer.echo("Reading memory, GB a second, by working set of each thread")
    for threads, peaks in cores.items():
        sizes = [f"{_size(int(size))} {rate / 1e9:,.0f}" for size, rate in peaks["bytes_per_second"].items()]
        typer.echo(f"  {plural(int(threads), 'thread')}: {'; '.join(sizes)}")
    typer.echo("Matrix products of PyTorch, 10^9 operations a second")
    for threads, measured in products.items():
        for line in product_lines(measured, unit=1e9, digits=0):
            typer.echo(f"  {plural(int(threads), 'thread')}, {line}")
    if positions:
        _print_positions(positions)
        _print_operators([record for record, _ in positions])


def _print_positions(positions: "list[Position]") -> None:
    from harness.records.estimate import Unavailable

    typer.echo(
        f"Run {positions[0][0].run}: operations of the model's products, without padding; skipped: of these"
    )
    figures = f"{'G/request':>9} {'G/s':>8} {'of int8':>8} {'of own':>8} {'skipped':>8}"
    typer.echo(f"  {'system':28} {'scenario':13} {'products':8} {figures}")
    for record, position in positions:
        cell = f"  {record.cell.variant:28} {record.cell.scenario:13}"
        if isinstance(position, Unavailable):
            typer.echo(f"{cell} {position}")
            continue
        shares = " ".join(
            f"{100 * share:7.1f}%" for share in (position.of_int8, position.of_own, position.skipped)
        )
        rates = f"{position.operations / 1e9:9.3f} {position.per_second / 1e9:8.1f}"
        typer.echo(f"{cell} {position.precision:8} {rates} {shares}")


def _print_operators(records: "list[Record]") -> None:
    """Print the share of time in each kind of operator, by each engine's profiler, or why there is none."""
    profiled = [record for record in records if record.operators]
    if not profiled:
        typer.echo(
            "Time by kind of operator: measured by the engines' profilers with `bench run --roofline`."
        )
        return
    names = next(
        (list(each.operators.seconds) for each in profiled if each.operators and each.operators.seconds), []
    )
    typer.echo("Time by kind of operator, by each engine's profiler (it slows the engine: read the shares)")
    typer.echo(f"  {'system':28} {'scenario':13} {' '.join(f'{name:>13}' for name in names)}")
    for record in profiled:
        cell, operators = f"  {record.cell.variant:28} {record.cell.scenario:13}", record.operators
        if operators is None or not sum(operators.seconds.values()):
            typer.echo(f"{cell} {operators.unavailable if operators else ''}")
            continue
        total = sum(operators.seconds.values())
        typer.echo(f"{cell} {' '.join(f'{100 * operators.seconds[name] / total:12.1f}%' for name in names)}")


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
