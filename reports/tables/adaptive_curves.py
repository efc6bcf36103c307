"""The tables of a ladder's adaptive rungs: their curves, and their comparison with a smaller model."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.statistics.ratios import Ratio
from reports.layout.cell_factory import absent_cell, common_grade, ratio_cell
from reports.layout.metric_names import metric_name
from reports.layout.number_format import TIMES, Unit, shown, unit_for
from reports.layout.table_model import Column, ColumnMaker, Notes, Table, TableCell, build_table
from reports.values.adaptive_curves import AtEqualQuality, Curve, OperatingPoint, at_equal_quality, curves_of
from reports.values.ladder_model import LadderReport

_MOST_POINTS = 7
"""Rows of one curve; JSON and the data of the plot hold all points."""

_WHERE = (
    "Measured on {examples} held-out examples of train while the rung was prepared: what other bounds on the "
    "loss would give. *: the chosen setting; full: nothing is saved. --format json and --plots give the "
    "whole curve."
)
_EXPECTED = "expected loss, points"
_LOSS = (
    f"{_EXPECTED}: the loss by the full model's own probabilities, over the answers that differ from its "
    "own. The chosen setting keeps this and the loss by labels, each plus one standard error, within the "
    "requested bound."
)
_JOULES = "Joules: seconds x the mean power of the rung as it was measured offline."
_NO_INTERVAL = (
    "rival: its quality on the same held-out examples, and its measured speed-up over the first rung. "
    "adaptive: the cheapest point of the curve that is as good there; its speed-up is over its own full "
    "model, times that model's measured speed-up where it is not the first rung. Points have no interval, "
    "so they have no verdict."
)


@dataclass(frozen=True, slots=True)
class _CurveRow:
    curve: Curve
    point: OperatingPoint

    @property
    def gain(self) -> float | None:
        return self.curve.full.seconds / self.point.seconds if self.point.seconds else None


def curve_tables(ladder: LadderReport) -> list[Table]:
    """Return the table of curves, and the one at equal quality where the ladder has a smaller model."""
    curves, pairs = curves_of(ladder), at_equal_quality(ladder)
    return [
        *([_curve_table(curves)] if curves else []),
        *([_equal_quality_table(pairs, curves[0].metric)] if pairs else []),
    ]


def thinned(points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """Return at most `_MOST_POINTS` points, evenly by position, with both ends and the chosen point."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    count = _MOST_POINTS - 1  # the chosen point may come on top
    indexes = {round(order * (len(points) - 1) / (count - 1)) for order in range(count)}
    return [point for index, point in enumerate(points) if index in indexes or point.chosen]


def _curve_table(curves: Sequence[Curve]) -> Table:
    rows = [_CurveRow(curve, point) for curve in curves for point in (*thinned(curve.points), curve.full)]
    has_loss = any(point.expected_loss is not None for curve in curves for point in curve.points)
    return build_table(
        "Quality against cost of adaptive rungs, as calibrated",
        rows,
        _curve_columns(curves, has_loss=has_loss),
        remarks=[_WHERE.format(examples=curves[0].examples), *([_LOSS] if has_loss else []), _JOULES],
        records=[row.curve.record for row in rows],
    )


def _curve_columns(curves: Sequence[Curve], *, has_loss: bool) -> list[ColumnMaker[_CurveRow]]:
    unit = unit_for([1e9 * point.seconds for curve in curves for point in curve.points], TIMES)
    grade = common_grade(curve.grade for curve in curves if curve.grade)
    return [
        (Column("rung", "left", "name"), lambda row, _: TableCell(row.curve.rung)),
        (Column("setting", "left", "speed"), _setting_cell),
        (_right(metric_name(curves[0].metric)), lambda row, _: _percent_cell(row.point.quality)),
        *([(_right(_EXPECTED), _loss_cell)] if has_loss else []),
        (_right(f"{unit.name}/request"), lambda row, _: _time_cell(row.point.seconds, unit)),
        (_right("speed-up over its full model"), lambda row, _: _gain_cell(row.gain, "n/a")),
        (_right("spent"), _spent_cell),
        (_right(f"J/request{grade}"), _joules_cell),
    ]


def _right(heading: str) -> Column:
    return Column(heading, "right", "speed")


def _setting_cell(row: _CurveRow, notes: Notes) -> TableCell:
    del notes
    return TableCell(f"{row.point.setting}{' *' if row.point.chosen else ''}")


def _loss_cell(row: _CurveRow, notes: Notes) -> TableCell:
    del notes
    loss = 0.0 if row.point is row.curve.full else row.point.expected_loss
    return TableCell("n/a" if loss is None else f"{loss:.2f}", value=loss)


def _spent_cell(row: _CurveRow, notes: Notes) -> TableCell:
    del notes
    spent = row.point.spent
    if spent is None:
        return TableCell("")
    if row.curve.unit == "passed on":
        return TableCell(f"{100 * spent:.0f} % passed on", value=spent)
    unit = row.curve.unit.removesuffix("s") if spent == 1 else row.curve.unit
    return TableCell(f"{spent:.3g} {unit}", value=spent)


def _joules_cell(row: _CurveRow, notes: Notes) -> TableCell:
    del notes
    joules = row.point.joules
    return TableCell("n/a" if joules is None else shown(joules), value=joules)


def _percent_cell(share: float | None) -> TableCell:
    return TableCell("n/a" if share is None else f"{100 * share:.2f} %", value=share)


def _time_cell(seconds: float, unit: Unit) -> TableCell:
    return TableCell(shown(1e9 * seconds / unit.size), value=seconds)


def _gain_cell(gain: float | None, absent: str) -> TableCell:
    return TableCell(absent if gain is None else f"{gain:.2f}x", value=gain)


def _rival_gain_cell(pair: AtEqualQuality, notes: Notes) -> TableCell:
    gain = pair.rival_gain
    return ratio_cell(gain, notes) if isinstance(gain, Ratio) else absent_cell(gain, notes)


def _equal_quality_table(pairs: Sequence[AtEqualQuality], metric: str) -> Table:
    name = metric_name(metric)
    columns: list[ColumnMaker[AtEqualQuality]] = [
        (Column("rung", "left", "name"), lambda pair, _: TableCell(pair.rung)),
        (Column("rival", "left", "speed"), lambda pair, _: TableCell(pair.rival)),
        (_right(f"rival's {name}"), lambda pair, _: _percent_cell(pair.rival_quality)),
        (_right("rival's speed-up"), _rival_gain_cell),
        (_right(f"adaptive, {name}"), lambda pair, _: _percent_cell(pair.own_quality)),
        (_right("adaptive, speed-up"), lambda pair, _: _gain_cell(pair.own_gain, "never as good")),
    ]
    title = "At equal quality: adaptive rungs and a smaller model"
    return build_table(title, pairs, columns, remarks=[_NO_INTERVAL])
