"""The table of speed-up and energy reduction: one per run and group of records.

records --groups--> figures --columns--> cells and notes --> Table
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import TOLERANCE
from harness.records.estimate import Estimate
from reports.layout.cell_factory import model_remarks
from reports.layout.table_model import Table, WarningLine, build_table
from reports.provenance.measured import facts_of, title_of
from reports.tables.compute_limit import limit_remark
from reports.tables.speed_columns import columns
from reports.values.figures import Figures, name_of
from reports.values.multiple_testing import family_remark, ratios_of

INTERVALS = "[low, high] is the 95 % interval; the note of an n/a gives the reason."

SERVED = (
    "Requests arrive at the same times for every variant. Latency counts from the arrival, so it includes "
    "waiting. At a given rate there is no speed-up: compare latency, and energy per request, which includes "
    "idle time."
)

NET = (
    "Net of idle: energy per request minus the machine's idle power over the time of each round. The ratios "
    "use the energy without this subtraction."
)


def speed_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return one table per group: quality, speed-up, energy reduction, and the absolute figures."""
    return [_table(group) for group in groups]


def _table(group: Sequence[Figures]) -> Table:
    table = build_table(
        title_of(group[0].record),
        group,
        columns(group),
        remarks=_remarks(group),
        records=[name_of(figures.record) for figures in group],
    )
    return replace(table, warnings=merged_warnings(group), facts=facts_of(group))


def merged_warnings(group: Sequence[Figures]) -> tuple[WarningLine, ...]:
    """Return the warnings of all records by code, in order of first appearance."""
    warnings = [warning for figures in group for warning in figures.warnings]
    return tuple(
        WarningLine(
            code,
            tuple(dict.fromkeys(warning.sentence for warning in warnings if warning.code == code)),
            tuple(dict.fromkeys(warning.next_step for warning in warnings if warning.code == code)),
        )
        for code in dict.fromkeys(warning.code for warning in warnings)
    )


def ratio_method(times: Iterable[object]) -> str:
    """Return how the intervals of times, and so of ratios, were computed; empty where nothing was timed."""
    methods = [time.method for time in times if isinstance(time, Estimate)]
    return methods[0].partition(", ")[2] if methods else ""


def _remarks(group: Sequence[Figures]) -> list[str]:
    """Return how to read the columns."""
    lines = [INTERVALS]
    served = group[0].record.cell.scenario == "server"
    if served:
        lines.append(SERVED)
    if any(isinstance(figures.time, Estimate) for figures in group):
        name, quantity = ("Energy", "energy") if served else ("Speed-up and energy", "time or energy")
        lines.append(
            f"{name} reduction: the reference's {quantity} over the variant's, median of paired rounds, "
            f"{ratio_method([figures.time for figures in group])}; "
            f"differences within {100 * TOLERANCE:.0f} % count as no change."
        )
        lines += family_remark(ratio for figures in group for ratio in ratios_of(figures))
    lines += limit_remark(group)
    if any(isinstance(figures.net, EnergyEstimate) for figures in group):
        lines.append(NET)
    return [*lines, *model_remarks(group)]
