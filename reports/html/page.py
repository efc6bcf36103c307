"""What the page's template is filled with: names are numbers here, so that none can be another's.

book --tables_of, plots_of--> what is shown --page.html--> one file

All text is escaped by the template; markup comes from the template and our own drawings alone. A policy in
the page's head allows only its own script, by hash, and no network.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from harness.analysis.diagnostics import ResultWarning
from harness.records.record import Record
from reports.html.inline import inline_svg
from reports.layout.escaping import printable
from reports.layout.number_format import shown
from reports.layout.style import Style
from reports.layout.table_model import Table, TableCell
from reports.plots import Plot, plots_of
from reports.report import TABLES, Report, tables_of
from reports.values.figures import name_of

if TYPE_CHECKING:
    from jinja2 import Template

PLOTS_BYTES = 400_000
"""Drawings together: with the tables of a sweep of hundreds of records the page stays under 2 MB."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The places of records and hosts on the page."""

    records: Mapping[str, int]
    hosts: Mapping[str, int]


def as_page(book: Report, style: Style) -> str:
    """Return the whole page; tables of no name are all of them."""
    from markupsafe import Markup

    numbers = _numbers(book.records)
    plots, more = _plots(book, style, numbers)
    js, css = _asset("page.js"), _asset("page.css")
    return _template().render(
        title="bench report",
        subtitle=_subtitle(book.records),
        css=Markup(css),  # noqa: S704 -- our own file
        js=Markup(js),  # noqa: S704 -- our own file
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()}",
        tables=[
            _table(table, number, numbers)
            for number, table in enumerate(tables_of(book, style.tables or tuple(TABLES)), 1)
        ],
        plots=plots,
        more_plots=more,
        records=list(_records(book, numbers)),
        environments=_environments(book.records, numbers),
    )


def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    def visible(value: object) -> object:
        return printable(value) if type(value) is str else value

    places = Environment(autoescape=True, undefined=StrictUndefined, finalize=visible)
    return places.from_string(_asset("page.html"))


def _asset(name: str) -> str:
    return resources.files("reports.html").joinpath(name).read_text(encoding="utf-8")


def _numbers(records: Sequence[Record]) -> _Numbers:
    hosts = dict.fromkeys(record.host.fingerprint for record in records)
    return _Numbers(
        {name_of(record): number for number, record in enumerate(records, 1)},
        {fingerprint: number for number, fingerprint in enumerate(hosts, 1)},
    )


def _subtitle(records: Sequence[Record]) -> str:
    runs = list(dict.fromkeys(record.run for record in records))
    several = f"{len(runs)} runs, {runs[0]} to {runs[-1]}" if len(runs) > 3 else ", ".join(runs)  # noqa: PLR2004
    return f"{len(records):,} record{'' if len(records) == 1 else 's'}; {several}"


def _table(table: Table, number: int, numbers: _Numbers) -> dict[str, Any]:
    records = [numbers.records.get(name, 0) for name in table.records] or [0] * len(table.rows)
    return {
        "id": f"t{number}",
        "title": table.title,
        "columns": table.columns,
        "rows": [
            {"record": record, "cells": [_cell(cell) for cell in row]}
            for record, row in zip(records, table.rows, strict=True)
        ],
        "notes": table.notes,
        "remarks": table.remarks,
        "warnings": table.warnings,
        "facts": table.facts,
    }


def _cell(cell: TableCell) -> dict[str, Any]:
    value = cell.value
    sort = "" if value is None or math.isnan(value) else f"{value:.6g}".replace("inf", "Infinity")
    return {"text": cell.text, "interval": cell.interval, "note": cell.note, "sort": sort}


def _plots(book: Report, style: Style, numbers: _Numbers) -> tuple[list[dict[str, Any]], bool]:
    """Return the plots there is room for, and whether there are more."""
    made: list[dict[str, Any]] = []
    room = PLOTS_BYTES
    for number, plot in enumerate(plots_of(book, style.samples), 1):
        if room <= 0:
            return made, True
        made.append(_figure(plot, number, numbers))
        room -= len(made[-1]["svg"]) + sum(len(str(value)) + 9 for row in plot.rows for value in row)
    return made, False


def _figure(plot: Plot, number: int, numbers: _Numbers) -> dict[str, Any]:
    from markupsafe import Markup

    known = [
        (numbers.records[name], name.rpartition("/")[2]) for name in plot.records if name in numbers.records
    ]
    return {
        "id": f"p{number}",
        "title": plot.title,
        "about": plot.about,
        "svg": Markup(inline_svg(plot, f"p{number}")),  # noqa: S704 -- drawn by matplotlib, which escapes text
        "records": known,
        "columns": plot.columns,
        "rows": [[_value(value) for value in row] for row in plot.rows],
    }


def _value(value: object) -> str:
    if isinstance(value, float):
        return shown(value) if math.isfinite(value) else str(value)
    return "" if value is None else str(value)


def _records(book: Report, numbers: _Numbers) -> Iterator[dict[str, Any]]:
    warnings: dict[str, tuple[ResultWarning, ...]] = {
        name_of(item.record): item.warnings for group in book.every for item in group
    }
    for record in book.records:
        name = name_of(record)
        yield {
            "number": numbers.records[name],
            "name": name,
            "status": record.status,
            "facts": list(_facts(record)),
            "warnings": warnings.get(name, ()),
            "host": numbers.hosts[record.host.fingerprint],
        }


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    cell, data = record.cell, record.data
    where = f"{cell.task} on {cell.device}, {cell.scenario}, {cell.boundary}"
    how = f"{cell.instances} x {cell.threads} threads, batch {cell.batch}, at most {cell.max_length} tokens"
    rounds = f"{len(record.rounds)} of {record.rounds_planned} rounds"
    chosen = f"{record.profile} profile, seed {record.seed}, format {record.schema_version}"
    yield "cell", f"{cell.variant}: {where}, {how}"
    yield "measured", f"{record.created}, {rounds}, {chosen}"
    yield "data", f"{data.name}/{data.split}, {data.tier}, sha256 {data.fingerprint[:12]}"
    yield "model", f"{record.model.name}, {record.model.tier}, sha256 {record.model.fingerprint[:12]}"
    yield "meter", record.energy.meter or "none"
    if record.artifact:
        yield "artifact", record.artifact.key[:12]
    if record.samples:
        yield "samples", f"sha256 {record.samples.sha256[:12]}"
    if record.failure:
        yield "failure", f"{record.failure.kind}: {record.failure.message} {record.failure.remedy or ''}"


def _environments(records: Sequence[Record], numbers: _Numbers) -> Iterator[dict[str, Any]]:
    """Describe each host once, with the software and the meters of its records; what differs is listed."""
    for fingerprint, number in numbers.hosts.items():
        own = [record for record in records if record.host.fingerprint == fingerprint]
        facts = [(label, _told(value)) for label, value in own[-1].host.facts.items()]
        software = _every(
            own, lambda record: [f"{name} {version}" for name, version in record.software.items()]
        )
        meters = _every(own, lambda record: [record.energy.meter or "none"])
        skipped = _every(
            own, lambda record: [f"{name}: {why}. {how}" for name, why, how in record.energy.skipped]
        )
        more = [("software", software), ("meters used", meters), ("meters not used", skipped)]
        yield {
            "number": number,
            "fingerprint": fingerprint[:12],
            "facts": [*facts, *((label, text) for label, text in more if text)],
        }


def _every(records: Sequence[Record], read: Callable[[Record], list[str]]) -> str:
    return "; ".join(dict.fromkeys(text for record in records for text in read(record)))


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
