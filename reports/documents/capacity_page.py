"""The page of a capacity plan: the answer, one plot, one table; everything else is folded."""

from collections.abc import Iterator, Sequence

from harness.analysis.capacity.plan import CapacityPlan
from harness.records.estimate import Unavailable
from harness.records.record import Record
from reports.documents.capacity_plot import front_plot
from reports.documents.capacity_tables import latency_cell
from reports.documents.capacity_values import cost_of, dollars, headline_of, quality_of, sentences_of
from reports.html.headline import Tile
from reports.html.page import record_facts
from reports.html.template import figure_fields, page_assets, page_template
from reports.layout.metric_names import metric_name
from reports.layout.number_format import TIMES, unit_for, with_interval
from reports.layout.table_model import Table
from reports.values.figures import name_of


def as_page(plan: CapacityPlan, tables: Sequence[Table]) -> str:
    """Return the whole page; `tables` begin with that of the machines."""
    records = _records(plan)
    numbers = {name_of(record): number for number, record in enumerate(records, 1)}
    plot, names = front_plot(plan), [name_of(row.record) for row in plan.rows]
    return page_template("plan.html").render(
        title="bench plan",
        subtitle=f"{plan.demand.description}; {', '.join(dict.fromkeys(record.run for record in records))}",
        **page_assets(),
        headline=headline_of(plan),
        tiles=list(_tiles(plan)),
        sentences=list(sentences_of(plan)),
        plot=figure_fields(plot, 0, numbers) if plot else None,
        tables=list(tables),
        chosen=names[:1] if names.count(names[0]) == 1 else [],
        record_numbers=numbers,
        records=[
            {"number": number, "name": name_of(record), "facts": list(record_facts(record))}
            for number, record in enumerate(records, 1)
        ],
    )


def _records(plan: CapacityPlan) -> list[Record]:
    items = [*(row.record for row in plan.rows), *(refusal.record for refusal in plan.refusals)]
    return list({name_of(record): record for record in items}.values())


def _tiles(plan: CapacityPlan) -> Iterator[Tile]:
    """Yield the figures of the cheapest row in large type."""
    row = plan.rows[0]
    latency, cost, quality = row.latency.percentiles[99.0], cost_of(row, plan, None), quality_of(row)
    unit = unit_for([1e9 * latency.value], TIMES)
    cell = latency_cell(latency, unit)
    yield Tile("latency", "p99 at the peak, computed", f"{cell.text} {unit.name}", cell.interval)
    busy = f"{100 * row.latency.utilisation:.0f} % busy at the peak"
    yield Tile("machines", "machines", f"{row.machines:,}", busy)
    a_day = f"{dollars(cost.usd_per_day)} a day"
    yield Tile("cost", "USD for 100 million requests", dollars(cost.usd_per_100m), a_day)
    if not isinstance(quality, Unavailable) and row.record.quality:
        share, detail = with_interval(100 * quality.value, 100 * quality.low, 100 * quality.high)
        yield Tile("quality", f"{metric_name(row.record.quality.primary)}, %", share, detail)
