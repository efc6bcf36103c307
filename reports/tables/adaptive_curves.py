"""The curves of a ladder's adaptive rungs as tables, and the smaller model beside them."""

from collections.abc import Sequence

from harness.analysis.statistics.ratios import Ratio
from reports.layout.cell_factory import absent_cell, ratio_cell
from reports.layout.number_format import TIMES, Unit, shown, unit_for
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.tables.speed_columns import metric_name
from reports.values.adaptive_curves import AtEqualQuality, Curve, OperatingPoint, at_equal_quality, curves_of
from reports.values.ladder_model import LadderReport

_MOST = 7
"""Rows of one curve; the whole of it is in JSON and beside the plot."""

_WHERE = (
    "on {examples} held-out examples of train, timed when the rung was prepared: what other losses would "
    "give. * chosen; full: nothing is saved. The whole curve: --format json, --plots."
)
_EXPECTED = "expected loss, points"
_LOST = (
    f"{_EXPECTED}: by the full model's own probabilities, where answers differ from its own. By labels and "
    "by this, with one standard error more, a choice is within the loss that was asked for."
)
_NO_INTERVAL = (
    "rival: quality on the same held-out examples, and its measured speed-up over the first rung; "
    "adaptive: the cheapest point of the curve that is as good there, over its own full model, times that "
    "model's measured speed-up where it is not the first rung. Points have no interval: no verdict."
)


def curve_tables(ladder: LadderReport) -> list[Table]:
    """Return the table of curves, and the one at equal quality where the ladder has a smaller model."""
    curves, beside = curves_of(ladder), at_equal_quality(ladder)
    return [*([_curves(curves)] if curves else []), *([_equal(beside, curves[0].metric)] if beside else [])]


def fewer(spots: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """Return at most so many spots, evenly among them by place, both ends and the chosen one with them."""
    if len(spots) <= _MOST:
        return list(spots)
    places = {round(at * (len(spots) - 1) / (_MOST - 2)) for at in range(_MOST - 1)}
    return [spot for at, spot in enumerate(spots) if at in places or spot.chosen]


def _curves(curves: Sequence[Curve]) -> Table:
    unit = unit_for([1e9 * spot.seconds for curve in curves for spot in curve.spots], TIMES)
    grades = sorted({curve.grade for curve in curves if curve.grade})
    joules = f"J/request, {grades[0]}" if len(grades) == 1 else "J/request"
    expected = any(spot.expected_loss is not None for curve in curves for spot in curve.spots)
    headings = (
        metric_name(curves[0].metric),
        *((_EXPECTED,) if expected else ()),
        *(f"{unit.name}/request", "speed-up over its full model"),
        *("spent", joules),
    )
    rows = [row for curve in curves for row in _rows(curve, unit, expected=expected)]
    return Table(
        title="Quality against cost of adaptive rungs, as calibrated",
        columns=(
            Column("rung", "left", "name"),
            Column("setting", "left", "speed"),
            *(Column(each, "right", "speed") for each in headings),
        ),
        rows=tuple(cells for cells, _ in rows),
        remarks=(
            _WHERE.format(examples=curves[0].examples),
            *((_LOST,) if expected else ()),
            "joules: seconds x the mean power of the rung as it was measured offline.",
        ),
        records=tuple(record for _, record in rows),
    )


def _rows(curve: Curve, unit: Unit, *, expected: bool) -> list[tuple[tuple[TableCell, ...], str]]:
    made: list[tuple[tuple[TableCell, ...], str]] = []
    for spot in (*fewer(curve.spots), curve.full):
        gain = curve.full.seconds / spot.seconds if spot.seconds else None
        made.append(
            (
                (
                    TableCell(curve.rung),
                    TableCell(f"{spot.setting}{' *' if spot.chosen else ''}"),
                    TableCell(f"{100 * spot.quality:.2f} %", value=spot.quality),
                    *((_lost(spot, curve.full),) if expected else ()),
                    TableCell(shown(1e9 * spot.seconds / unit.size), value=spot.seconds),
                    TableCell("n/a" if gain is None else f"{gain:.2f}x", value=gain),
                    TableCell("" if spot.spent is None else _spent(curve, spot.spent), value=spot.spent),
                    TableCell("n/a" if spot.joules is None else shown(spot.joules), value=spot.joules),
                ),
                curve.record,
            )
        )
    return made


def _lost(spot: OperatingPoint, full: OperatingPoint) -> TableCell:
    if spot is full:
        return TableCell("0.00", value=0.0)
    lost = spot.expected_loss
    return TableCell("n/a" if lost is None else f"{lost:.2f}", value=lost)


def _spent(curve: Curve, value: float) -> str:
    if curve.unit == "passed on":
        return f"{100 * value:.0f} % passed on"
    return f"{value:.3g} {curve.unit}"


def _equal(beside: Sequence[AtEqualQuality], metric: str) -> Table:
    notes = Notes()
    rows = []
    for each in beside:
        gain = each.rival_gain
        rows.append(
            (
                TableCell(each.rung),
                TableCell(each.rival),
                TableCell(f"{100 * each.rival_quality:.2f} %", value=each.rival_quality),
                ratio_cell(gain, notes) if isinstance(gain, Ratio) else absent_cell(gain, notes),
                TableCell(
                    "n/a" if each.own_quality is None else f"{100 * each.own_quality:.2f} %",
                    value=each.own_quality,
                ),
                TableCell(
                    "never as good" if each.own_gain is None else f"{each.own_gain:.2f}x", value=each.own_gain
                ),
            )
        )
    name = metric_name(metric)
    headings = (f"rival's {name}", "rival's speed-up", f"adaptive, {name}", "adaptive, speed-up")
    return Table(
        title="At equal quality: adaptive rungs and simply a smaller model",
        columns=(
            Column("rung", "left", "name"),
            Column("rival", "left", "speed"),
            *(Column(each, "right", "speed") for each in headings),
        ),
        rows=tuple(rows),
        notes=tuple(notes.texts),
        remarks=(_NO_INTERVAL,),
    )
