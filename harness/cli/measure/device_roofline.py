"""`bench roofline --device cuda`: a board's peaks, and what share of them the systems of a run reach."""

import json as encoder
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from harness.records.estimate import Unavailable
from harness.records.record import Record
from harness.studies.device_roofline import SQUARES, DeviceRooflinePosition, device_roofline_position
from harness.studies.roofline import same_host, shapes_of

Row = tuple[Record, DeviceRooflinePosition | Unavailable]


def device_roofline(device: str, records: "Sequence[Record]", fingerprint: str, *, json: bool) -> None:
    """Measure a board, and print it with the systems of the records."""
    from harness.catalog import load_peaks

    if records:
        same_host(records, fingerprint)
    shapes = [*shapes_of(records), *SQUARES]
    peaks = load_peaks().device(device, [list(shape) for shape in dict.fromkeys(map(tuple, shapes))])
    rows = [(record, device_roofline_position(record, peaks)) for record in records]
    if json:
        shown = [
            {"variant": record.cell.variant, "unavailable": str(one)}
            if isinstance(one, Unavailable)
            else {**asdict(one), "of_copies": one.of_copies}
            for record, one in rows
        ]
        typer.echo(encoder.dumps({"board": peaks, "systems": shown}, indent=1))
    else:
        _print(peaks, rows)


def _print(peaks: dict[str, Any], rows: "Sequence[Row]") -> None:
    typer.echo(f"{peaks['device']}: {peaks['name']}")
    typer.echo("Matrix products of PyTorch, 10^12 operations a second (a multiply-add is two)")
    for shape in dict.fromkeys(tuple(each["shape"]) for each in peaks["products"]):
        rates = [
            f"{each['precision']} {each['per_second'] / 1e12:,.2f}"
            for each in peaks["products"]
            if tuple(each["shape"]) == shape
        ]
        typer.echo(f"  {' x '.join(map(str, shape))}: {'; '.join(rates)}")
    typer.echo(
        f"Copying its memory, read and written: {peaks['copy_bytes_per_second'] / 1e9:,.0f} GB a second"
    )
    if rows:
        _print_rows(rows)


def _print_rows(rows: "Sequence[Row]") -> None:
    typer.echo(f"Run {rows[0][0].run}: operations of the encoder's products, without padding")
    figures = f"{'T/s':>8} {'of peak':>8} {'of copies':>9} {'ms':>9} {'least ms':>9} {'share':>7}"
    typer.echo(f"  {'system':28} {'scenario':13} {'products':8} {figures}")
    for record, one in rows:
        place = f"  {record.cell.variant:28} {record.cell.scenario:13}"
        if isinstance(one, Unavailable):
            typer.echo(f"{place} {one}")
            continue
        copies = "" if one.of_copies is None else f"{100 * one.of_copies:.1f}%"
        least = max(one.arithmetic_seconds, one.memory_seconds or 0.0)
        typer.echo(
            f"{place} {one.precision:8} {one.per_second / 1e12:8.2f} {100 * one.of_products:7.1f}% "
            f"{copies:>9} {1e3 * one.seconds:9.4f} {1e3 * least:9.4f} {100 * one.share:6.1f}%"
        )
