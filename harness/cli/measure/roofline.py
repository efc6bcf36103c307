"""`bench roofline`: what this machine can do at most, and what share of it the systems of a run reach."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import DeviceName, Json, StoreFolder

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.studies.roofline import RooflinePosition

NOTHING_MEASURED = 4


def roofline(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run id, or latest (default: the machine alone).")
    ] = None,
    device: DeviceName = "cpu",
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Measure the peaks of this machine, and say what share of them the systems of a run reach."""
    from harness.catalog import load_peaks
    from harness.measurement.machine.devices import one_device
    from harness.studies.roofline import shapes_of

    toolbox: CliContext = context.obj
    machine = toolbox.machine()
    device = one_device(device)
    machine.check_device(device)
    records = _records(toolbox, store, run) if run else []
    if device != "cpu":
        from harness.cli.measure.device_roofline import device_roofline

        device_roofline(device, records, machine.host().fingerprint, json=json)
        return
    peaks = load_peaks()
    cpus = list(machine.cpus())
    threads = sorted({1, len(cpus), *(len(one.placement.cpus) for one in records if one.placement)})
    cores = peaks.cores(threads)
    if isinstance(cores, str):
        typer.echo(f"bench: the peaks are unavailable, because {cores}.", err=True)
        raise typer.Exit(NOTHING_MEASURED)
    shapes = shapes_of(records)
    products = {str(count): peaks.products(shapes, cpus[:count]) for count in sorted({1, len(cpus)})}
    rows = _standings(records, cores, machine.host().fingerprint)
    if json:
        _print_json(cores, products, rows)
    else:
        _print(cores, products, rows)


def _records(toolbox: CliContext, store: Any, run: str) -> "list[Record]":  # noqa: ANN401 -- a folder or None
    from harness.records.store import Store

    place = Store(toolbox.store(store))
    return place.records([place.run(run)])[0]


def _standings(
    records: "list[Record]", cores: dict[str, Any], fingerprint: str
) -> "list[tuple[Record, RooflinePosition | str]]":
    from harness.records.estimate import Unavailable
    from harness.studies.roofline import roofline_position, same_host

    if records:
        same_host(records, fingerprint)
    found = [(record, roofline_position(record, cores)) for record in records]
    return [(record, str(one) if isinstance(one, Unavailable) else one) for record, one in found]


def _print_json(
    cores: dict[str, Any], products: dict[str, Any], rows: "list[tuple[Record, RooflinePosition | str]]"
) -> None:
    import json as encoder
    from dataclasses import asdict

    from harness.analysis.compute_limit import missing_instructions

    shown = [
        {
            **({"variant": record.cell.variant, "unavailable": one} if isinstance(one, str) else asdict(one)),
            "operators": record.operators.model_dump() if record.operators else None,
        }
        for record, one in rows
    ]
    missing = missing_instructions(next(iter(cores.values()))["arithmetic"])
    said = {"cores": cores, "lost": missing, "products": products, "systems": shown}
    typer.echo(encoder.dumps(said, indent=1))


def _print(
    cores: dict[str, Any], products: dict[str, Any], rows: "list[tuple[Record, RooflinePosition | str]]"
) -> None:
    from harness.analysis.compute_limit import missing_instructions

    typer.echo("Arithmetic from registers, 10^9 operations a second (a multiply-add is two)")
    for threads, found in cores.items():
        kinds = [
            f"{name} {each['per_second'] / 1e9:,.0f} ({each['instruction']})"
            for name, each in found["arithmetic"].items()
        ]
        typer.echo(f"  {_threads(threads)}: {'; '.join(kinds) or 'no kernel for this CPU'}")
    for line in missing_instructions(next(iter(cores.values()))["arithmetic"]):
        typer.echo(f"  this processor lacks {line}")
    typer.echo("Reading memory, GB a second, by working set of each thread")
    for threads, found in cores.items():
        sizes = [f"{_size(int(size))} {rate / 1e9:,.0f}" for size, rate in found["bytes_per_second"].items()]
        typer.echo(f"  {_threads(threads)}: {'; '.join(sizes)}")
    typer.echo("Matrix products of PyTorch, 10^9 operations a second")
    for threads, made in products.items():
        for shape in dict.fromkeys(tuple(each["shape"]) for each in made):
            rates = [
                f"{each['precision']} {each['per_second'] / 1e9:,.0f}"
                for each in made
                if tuple(each["shape"]) == shape
            ]
            typer.echo(f"  {_threads(threads)}, {' x '.join(map(str, shape))}: {'; '.join(rates)}")
    if rows:
        _print_rows(rows)
        _print_operators([record for record, _ in rows])


def _print_rows(rows: "list[tuple[Record, RooflinePosition | str]]") -> None:
    typer.echo(f"Run {rows[0][0].run}: operations of the encoder's products, without padding")
    figures = f"{'G/request':>9} {'G/s':>8} {'of int8':>8} {'of own':>8}"
    typer.echo(f"  {'system':28} {'scenario':13} {'products':8} {figures}")
    for record, one in rows:
        place = f"  {record.cell.variant:28} {record.cell.scenario:13}"
        if isinstance(one, str):
            typer.echo(f"{place} {one}")
            continue
        shares = f"{100 * one.of_int8:7.1f}% {100 * one.of_own:7.1f}%"
        rates = f"{one.operations / 1e9:9.3f} {one.per_second / 1e9:8.1f}"
        typer.echo(f"{place} {one.precision:8} {rates} {shares}")


def _print_operators(records: "list[Record]") -> None:
    """Say where each engine's own profiler says that time goes, in shares; why not, where it does not."""
    known = [record for record in records if record.operators]
    if not known:
        typer.echo("Where time goes by the engines' own profilers: measured with `--roofline` at the run.")
        return
    names = next(
        (list(one.operators.seconds) for one in known if one.operators and one.operators.seconds), []
    )
    typer.echo("Where time goes, by each engine's own profiler (which slows it: read the shares)")
    typer.echo(f"  {'system':28} {'scenario':13} {' '.join(f'{name:>13}' for name in names)}")
    for record in known:
        place, found = f"  {record.cell.variant:28} {record.cell.scenario:13}", record.operators
        if found is None or not sum(found.seconds.values()):
            typer.echo(f"{place} {found.unavailable if found else ''}")
            continue
        whole = sum(found.seconds.values())
        typer.echo(f"{place} {' '.join(f'{100 * found.seconds[name] / whole:12.1f}%' for name in names)}")


def _threads(count: str) -> str:
    return f"{count} thread{'' if count == '1' else 's'}"


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
