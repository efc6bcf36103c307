"""The speed-up and energy-reduction table: one per run and group of records.

records --groups--> figures --columns--> cells and notes --> Table
"""

from collections.abc import Sequence

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import TOLERANCE
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.layout.cell_factory import how_modelled
from reports.layout.table_model import Notes, Table, WarningLine
from reports.provenance.measured import facts_of, title_of
from reports.tables.compute_limit import limit_remark
from reports.tables.speed_columns import columns
from reports.values.figures import Figures, all_figures, name_of
from reports.values.multiple_testing import in_one_family, ratios_of, remark

SERVED = (
    "Requests arrive at the same times for every variant, and latency counts from the arrival, so waiting is "
    "part of it. At a given rate there is no speed-up: compare latency, and energy per request, idle time "
    "included."
)

NET = (
    "Net of idle: the energy beside it, less the machine's idle power for the time of each round; ratios are "
    "of energy as it was spent."
)


def speed_table(records: Sequence[Record]) -> list[Table]:
    """Return one table per run and group: quality, speed-up, energy reduction, and what they are made of."""
    return speed_tables(in_one_family(all_figures(records)))


def speed_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return the same of figures that are worked out."""
    return [_table(group) for group in groups]


def _table(group: Sequence[Figures]) -> Table:
    notes = Notes()
    makers = columns(group)
    rows = tuple(tuple(make(item, notes) for _, make in makers) for item in group)
    return Table(
        title=title_of(group[0].record),
        columns=tuple(column for column, _ in makers),
        rows=rows,
        notes=tuple(notes.texts),
        remarks=_remarks(group),
        warnings=merged_warnings(group),
        facts=facts_of(group),
        records=tuple(name_of(item.record) for item in group),
    )


def merged_warnings(group: Sequence[Figures]) -> tuple[WarningLine, ...]:
    """Return the warnings of all records by code, in order of first appearance."""
    found = [warning for item in group for warning in item.warnings]
    return tuple(
        WarningLine(
            code,
            tuple(dict.fromkeys(warning.sentence for warning in found if warning.code == code)),
            tuple(dict.fromkeys(warning.next_step for warning in found if warning.code == code)),
        )
        for code in dict.fromkeys(warning.code for warning in found)
    )


def _remarks(group: Sequence[Figures]) -> tuple[str, ...]:
    """Say how to read the columns."""
    timed = [item.time.method for item in group if isinstance(item.time, Estimate)]
    grades = {item.energy.grade for item in group if isinstance(item.energy, EnergyEstimate)}
    lines = ["[low, high] is the 95 % interval; n/a says why in its note."]
    served = group[0].record.cell.scenario == "server"
    if served:
        lines.append(SERVED)
    if timed:
        over = timed[0].partition(", ")[2]
        lines.append(
            f"{'Energy' if served else 'Speed-up and energy'} reduction: the reference's "
            f"{'' if served else 'time or '}energy over the variant's, median of paired rounds, {over}; "
            f"differences within {100 * TOLERANCE:.0f} % count as none."
        )
        lines += remark(ratio for item in group for ratio in ratios_of(item))
    lines += limit_remark(group)
    if any(isinstance(item.net, EnergyEstimate) for item in group):
        lines.append(NET)
    if "modelled" in grades:
        lines.append(how_modelled(item.energy for item in group))
    return tuple(lines)
