"""Fills the page's template: ids are numbers, so that names in records cannot collide with them.

report --tables_of, plots_of--> values of the template --page.html--> one file
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.diagnostics import ResultWarning
from harness.common.json_types import JsonObject
from harness.records.record import Record
from reports.html.headline import claims_of, columns_of, headline_of
from reports.html.template import figure_fields, page_assets, page_template
from reports.layout.host_names import named
from reports.layout.style import Style
from reports.layout.table_model import Table
from reports.plots import Plot, plots_of
from reports.plots.headline import headline_plot
from reports.report import TABLES, Report, tables_of
from reports.tables.ladder import ladder_summary
from reports.values.figures import name_of

PLOTS_BYTES = 320_000
"""The size of all drawings: with the tables of a sweep of hundreds of records the page stays under 2 MB."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The numbers of records and hosts on the page, by name and fingerprint."""

    records: Mapping[str, int]
    hosts: Mapping[str, int]


def as_page(report: Report, style: Style) -> str:
    """Return the whole page, with all tables unless the style names some."""
    numbers, verdicts = _numbers(report), report.verdicts()
    headline = headline_plot(report, verdicts)
    plots, has_more_plots = _plots(report, style, numbers, headline)
    return page_template("page.html").render(
        title="bench report",
        subtitle=_subtitle(report.records),
        **page_assets(),
        headline=headline_of(verdicts),
        claims=(claims := claims_of(verdicts)),
        columns=columns_of(claims),
        more_claims=len(verdicts) - len(claims),
        chosen=[name_of(verdict.chosen) for verdict in verdicts if verdict.chosen],
        plot=None if headline is None else figure_fields(headline, 0, numbers.records),
        tables=_tables(report, style),
        record_numbers=numbers.records,
        plots=plots,
        more_plots=has_more_plots,
        records=list(_records(report, numbers)),
        environments=_environments(report.records, numbers),
    )


def _numbers(report: Report) -> _Numbers:
    hosts = dict.fromkeys(figures.record.host.fingerprint for figures in report.all_figures)
    return _Numbers(
        {name_of(record): number for number, record in enumerate(report.records, 1)},
        {fingerprint: number for number, fingerprint in enumerate(hosts, 1)},
    )


def _subtitle(records: Sequence[Record]) -> str:
    runs = list(dict.fromkeys(record.run for record in records))
    names = f"{len(runs)} runs, {runs[0]} to {runs[-1]}" if len(runs) > 3 else ", ".join(runs)  # noqa: PLR2004
    return f"{len(records):,} record{'' if len(records) == 1 else 's'}; {names}"


def _tables(report: Report, style: Style) -> list[Table]:
    """Return the tables; a ladder's summary, the overview of tasks, or a sweep is the first."""
    tables = tables_of(report, style.tables or tuple(TABLES))
    if style.tables:
        return tables
    if report.ladders:
        names = report.host_names
        summaries = [named(ladder_summary(ladder), ladder.record, names) for ladder in report.ladders]
        return [*summaries, *tables]
    first = TABLES["overview"](report)[1:2] or TABLES["sweep"](report)[:1]
    return [*first, *(table for table in tables if table not in first)]


def _plots(
    report: Report, style: Style, numbers: _Numbers, headline: Plot | None
) -> tuple[list[JsonObject], bool]:
    """Return the plots that fit into `PLOTS_BYTES` beside the headline's, and whether there are more."""
    figures: list[JsonObject] = []
    size = 0
    shown_above = headline.title if headline else ""
    others = (plot for plot in plots_of(report, style.samples) if plot.title != shown_above)
    for number, plot in enumerate(others, 1):
        if size >= PLOTS_BYTES:
            return figures, True
        figures.append(figure_fields(plot, number, numbers.records))
        size += len(figures[-1]["svg"]) + sum(len(str(value)) + 9 for row in plot.rows for value in row)
    return figures, False


def _records(report: Report, numbers: _Numbers) -> Iterator[JsonObject]:
    warnings: dict[str, tuple[ResultWarning, ...]] = {
        name_of(figures.record): figures.warnings for figures in report.all_figures
    }
    for record in report.records:
        name = name_of(record)
        yield {
            "number": numbers.records[name],
            "name": name,
            "status": record.status,
            "facts": list(record_facts(record)),
            "warnings": warnings.get(name, ()),
            "host": numbers.hosts[record.host.fingerprint],
        }


def record_facts(record: Record) -> Iterator[tuple[str, str]]:
    """Yield what a record is of, label and text: its cell, data, model, meter and samples."""
    cell, data = record.cell, record.data
    setting = f"{cell.task} on {cell.device}, {cell.scenario}, {cell.boundary}"
    parallelism = (
        f"{cell.instances} x {cell.threads} thread{'' if cell.threads == 1 else 's'}, batch {cell.batch}, "
        f"at most {cell.max_length} tokens"
    )
    rounds = f"{len(record.rounds)} of {record.rounds_planned} rounds"
    profile = f"{record.profile} profile, seed {record.seed}, format {record.schema_version}"
    yield "cell", f"{cell.variant}: {setting}, {parallelism}"
    yield "measured", f"{record.created}, {rounds}, {profile}"
    yield "data", f"{data.name}/{data.split}, {data.tier}, sha256 {data.fingerprint[:12]}"
    yield "model", f"{record.model.name}, {record.model.tier}, sha256 {record.model.fingerprint[:12]}"
    yield "meter", record.energy.meter or "none"
    if record.artifact:
        yield "artifact", record.artifact.key[:12]
    if record.samples:
        yield "samples", f"sha256 {record.samples.sha256[:12]}"
    if record.failure:
        yield "failure", f"{record.failure.kind}: {record.failure.message} {record.failure.remedy or ''}"


def _environments(records: Sequence[Record], numbers: _Numbers) -> Iterator[JsonObject]:
    """Yield each host once, with all versions of software and all meters of its records."""
    for fingerprint, number in numbers.hosts.items():
        on_host = [record for record in records if record.host.fingerprint == fingerprint]
        facts = [(label, _fact(value)) for label, value in on_host[-1].host.facts.items()]
        software = _distinct(
            f"{name} {version}" for record in on_host for name, version in record.software.items()
        )
        meters = _distinct(record.energy.meter or "none" for record in on_host)
        skipped = _distinct(
            f"{meter}: {reason}. {remedy}"
            for record in on_host
            for meter, reason, remedy in record.energy.skipped
        )
        more = [("software", software), ("meters used", meters), ("meters not used", skipped)]
        yield {
            "number": number,
            "fingerprint": fingerprint[:12],
            "facts": [*facts, *((label, text) for label, text in more if text)],
        }


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _fact(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
