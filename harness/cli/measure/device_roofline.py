"""`bench roofline --device cuda`: the peaks of a GPU, and a run's share of them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from harness.cli.output.terminal import print_json
from harness.common.progress import TIMED
from harness.records.estimate import Unavailable
from harness.records.record import Record
from harness.studies.device_roofline import SQUARES, DeviceRooflinePosition, device_roofline_position
from harness.studies.roofline import shapes_of

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject

Position = tuple[Record, DeviceRooflinePosition | Unavailable]


def device_roofline(device: str, records: "Sequence[Record]", *, as_json: bool) -> None:
    """Measure a GPU, and print its peaks with the systems of the records."""
    from harness.catalog import load_peaks
    from harness.cli.output.progress import progress_reporter

    shapes = [list(shape) for shape in dict.fromkeys(map(tuple, [*shapes_of(records), *SQUARES]))]
    with progress_reporter(quiet=as_json) as progress:
        progress.stage(f"measure the peaks of {device}", 1, quiet_s=TIMED)
        peaks = load_peaks().device(device, shapes)
    positions = [(record, device_roofline_position(record, peaks)) for record in records]
    if as_json:
        systems = [_facts(record, position) for record, position in positions]
        print_json({"board": peaks, "systems": systems})
    else:
        _print(peaks, positions)


def _facts(record: Record, position: DeviceRooflinePosition | Unavailable) -> "JsonObject":
    if isinstance(position, Unavailable):
        return {"variant": record.cell.variant, "unavailable": str(position)}
    return {**asdict(position), "of_copies": position.of_copies}


def _print(peaks: "JsonObject", positions: "Sequence[Position]") -> None:
    typer.echo(f"{peaks['device']}: {peaks['name']}")
    typer.echo("Matrix products of PyTorch, 10^12 operations a second (a multiply-add is two)")
    for line in product_lines(peaks["products"], unit=1e12, digits=2):
        typer.echo(f"  {line}")
    typer.echo(
        f"Copying its memory, read and written: {peaks['copy_bytes_per_second'] / 1e9:,.0f} GB a second"
    )
    if positions:
        _print_positions(positions)


def product_lines(products: "Sequence[JsonObject]", *, unit: float, digits: int) -> list[str]:
    """Return a line for each shape: the rate of its product in each precision, `unit` operations a second."""
    lines = []
    for shape in dict.fromkeys(tuple(product["shape"]) for product in products):
        rates = [
            f"{product['precision']} {product['per_second'] / unit:,.{digits}f}"
            for product in products
            if tuple(product["shape"]) == shape
        ]
        lines.append(f"{' x '.join(map(str, shape))}: {'; '.join(rates)}")
    return lines


def _print_positions(positions: "Sequence[Position]") -> None:
    typer.echo(f"Run {positions[0][0].run}: operations of the model's products, without padding")
    figures = f"{'T/s':>8} {'of peak':>8} {'of copies':>9} {'ms':>9} {'least ms':>9} {'share':>7}"
    typer.echo(f"  {'system':28} {'scenario':13} {'products':8} {figures}")
    for record, position in positions:
        cell = f"  {record.cell.variant:28} {record.cell.scenario:13}"
        if isinstance(position, Unavailable):
            typer.echo(f"{cell} {position}")
            continue
        copies = "" if position.of_copies is None else f"{100 * position.of_copies:.1f}%"
        least = max(position.arithmetic_seconds, position.memory_seconds or 0.0)
        typer.echo(
            f"{cell} {position.precision:8} {position.per_second / 1e12:8.2f} "
            f"{100 * position.of_products:7.1f}% {copies:>9} {1e3 * position.seconds:9.4f} "
            f"{1e3 * least:9.4f} {100 * position.share:6.1f}%"
        )
