"""The table of speed-up and energy reduction: one per run and group of records.

records --groups--> figures --columns--> cells and notes --> Table
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.analysis.diagnostics import ResultWarning
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import TOLERANCE
from harness.analysis.statistics.variance.known_hosts import known_host
from harness.records.estimate import Estimate
from reports.layout.cell_factory import model_remarks
from reports.layout.table_model import Table, WarningLine, build_table
from reports.provenance.measured import facts_of, title_of
from reports.tables.compute_limit import limit_remark
from reports.tables.speed_columns import columns
from reports.values.figures import Figures, first_timed, name_of
from reports.values.multiple_testing import family_remark, ratios_of

Z_OF_95 = 1.96

INTERVALS = "[low, high] is the 95 % interval; the note of an n/a gives the reason."

SERVED = (
    "Requests arrive at the same times for every variant. Latency counts from the arrival, so it includes "
    "waiting. At a given rate there is no speed-up: compare latency, and energy per request, which includes "
    "idle time."
)

ONE_PROCESS = "within one process"
"""In the heading of a table of one launch: another start of the processes was not measured."""

NET = (
    "Net of idle: energy per request minus the machine's idle power over the time of each round. The ratios "
    "use the energy without this subtraction."
)


def speed_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return one table per group: quality, speed-up, energy reduction, and the absolute figures."""
    return [_table(group) for group in groups]


def _table(group: Sequence[Figures]) -> Table:
    title = title_of(group[0].record)
    table = build_table(
        title + _one_process(group),
        group,
        columns(group),
        remarks=_remarks(group),
        records=[name_of(figures.record) for figures in group],
    )
    warnings = merged_warnings([warning for figures in group for warning in figures.warnings])
    return replace(table, warnings=warnings, facts=facts_of(group))


def merged_warnings(warnings: Sequence[ResultWarning]) -> tuple[WarningLine, ...]:
    """Return warnings by code, in order of first appearance."""
    return tuple(
        WarningLine(
            code,
            tuple(dict.fromkeys(warning.sentence for warning in warnings if warning.code == code)),
            tuple(dict.fromkeys(warning.next_step for warning in warnings if warning.code == code)),
        )
        for code in dict.fromkeys(warning.code for warning in warnings)
    )


def _one_process(group: Sequence[Figures]) -> str:
    """Return the end of a heading of one launch: its intervals hold what is known of launches, or nothing."""
    if any(figures.record.launches > 1 for figures in group):
        return ""
    known = known_host(first_timed(group))
    return f", {ONE_PROCESS}" + (" and what launches differ by on such hosts" if known else "")


def _runs_remark(group: Sequence[Figures]) -> list[str]:
    """Return what two runs of one thing differ by on this host, which no interval of one run holds."""
    record = first_timed(group)
    if not record.rounds:
        return []
    host = known_host(record)
    if host is None:
        return ["What another run would change is not known on this host, and in no interval."]
    reach = 100 * math.expm1(Z_OF_95 * math.sqrt(2 * host.run_time.variance))
    differ = f"Beyond that, the times of two runs of one thing differ by up to {reach:.0f} %"
    return [f"{differ} on such a host, 19 times of 20 (docs/explanation/method.md)."]


def _sample_remark(group: Sequence[Figures]) -> list[str]:
    """Return that quality is scored on the timed sample only, where it is."""
    counts = {
        (record.quality.timed, record.data.examples)
        for record in (figures.record for figures in group)
        if record.quality and record.quality.metrics and not record.quality.untimed
    }
    return [
        f"Quality is scored on the {timed:,} timed examples of {examples:,}; its interval is wider than that "
        "of the full split (--quality full)."
        for timed, examples in sorted(counts)
        if timed < examples
    ]


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
            f"{name} reduction: the reference's {quantity} over the variant's, trimmed mean of paired "
            f"rounds, {ratio_method([figures.time for figures in group])}; "
            f"differences within {100 * TOLERANCE:.0f} % count as no change."
        )
        lines += family_remark(ratio for figures in group for ratio in ratios_of(figures))
    lines += [*_runs_remark(group), *limit_remark(group), *_sample_remark(group)]
    if any(isinstance(figures.net, EnergyEstimate) for figures in group):
        lines.append(NET)
    return [*lines, *model_remarks(group), *_left_out(group)]


def _left_out(group: Sequence[Figures]) -> list[str]:
    """Return which of the default variants could not run on this machine or this checkpoint, and why."""
    configuration = group[0].record.configuration
    reasons = configuration.get("left_out") or {}
    return [f"Left out: {name}, because {reason.rstrip('.')}." for name, reason in reasons.items()]
