"""The one plot beside the verdict: what the report is about, at a glance.

a ladder         time per request, rung by rung
one group        quality against time with the Pareto front; without quality, time by variant
several groups   the factor of each group's fastest variant
"""

from collections.abc import Sequence

from harness.analysis.diagnostics import is_null
from harness.analysis.statistics.ratios import Ratio
from harness.analysis.verdict import GroupVerdict
from harness.records.estimate import Estimate
from reports.layout.number_format import TIMES, shown, unit_for, with_interval
from reports.layout.verdict_labels import group_labels
from reports.plots.dots import Dot, dots_plot
from reports.plots.drawing import Plot
from reports.plots.selection import quality_time_plots
from reports.provenance.measured import title_of
from reports.report import Report
from reports.values.figures import Figures, name_of

_NAMED = 2
MOST_ROWS = 24
"""Rows of the plot beside the verdict; a long sweep has its own plots."""


def headline_plot(report: Report, verdicts: Sequence[GroupVerdict]) -> Plot | None:
    """Return the plot beside the verdicts of a report, or None where nothing was timed."""
    if len(report.ladders) == 1 and not report.groups:
        return _times(report.ladders[0].offline or report.ladders[0].single_stream, verdicts[:1])
    if len(verdicts) > 1:
        return _factors(verdicts)
    if not report.every:
        return None
    return next(quality_time_plots(report.every[0]), None) or _times(report.every[0], verdicts)


def _times(group: Sequence[Figures], verdicts: Sequence[GroupVerdict]) -> Plot | None:
    """Plot the time per request of each system of a group, in their order."""
    timed = [
        (figures, figures.time)
        for figures in group
        if isinstance(figures.time, Estimate) and not is_null(figures.record)
    ]
    if not timed or group[0].record.cell.scenario == "server":
        return None
    unit = unit_for([time.value for _, time in timed], TIMES)
    slowest = max(time.value for _, time in timed)
    chosen = {verdict.variant for verdict in verdicts}
    dots = [
        Dot(
            figures.record.cell.variant,
            (time.value / unit.size, time.low / unit.size, time.high / unit.size),
            f"{shown(time.value / unit.size)} {unit.name}, {shown(slowest / time.value)}x",
            name_of(figures.record),
            chosen=figures.record.cell.variant in chosen,
        )
        for figures, time in timed
    ]
    return dots_plot(
        f"times {group[0].record.cell.group} {group[0].record.run}",
        f"Time per request: {title_of(group[0].record)}",
        dots[:MOST_ROWS],
        axis=f"time per request, {unit.name}",
        about="Time per request of each system, and how many times as fast as the slowest it is.",
    )


def _factors(verdicts: Sequence[GroupVerdict]) -> Plot | None:
    """Plot the factor of each group's named variant over the group's first reference."""
    labels = group_labels([verdict.record for verdict in verdicts])
    dots = [
        Dot(
            label,
            (ratio.value, ratio.low, ratio.high),
            f"{verdict.variant}, {with_interval(ratio.value, ratio.low, ratio.high)[0]}x",
            name_of(verdict.chosen),
            chosen=verdict.outcome == "faster",
        )
        for label, verdict in zip(labels, verdicts, strict=True)
        for ratio in verdict.factors[:1]
        if isinstance(ratio, Ratio) and verdict.chosen
    ]
    if not dots:
        return None
    overs = list(dict.fromkeys(verdict.factors[0].over for verdict in verdicts if verdict.factors))
    over = " or ".join(overs) if len(overs) <= _NAMED else "the reference of its group"
    return dots_plot(
        f"factors {verdicts[0].record.run}",
        f"The fastest variant of each group over {over}",
        dots[:MOST_ROWS],
        axis=f"times as fast as {over}",
        about="The factor of the fastest variant of each group; a diamond where its quality is settled too.",
        reference=1.0,
    )
