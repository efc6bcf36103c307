"""Quality against cost of adaptive rungs: the whole curve from calibration, not only the chosen point.

    manifests' `calibration` --curves_of--> Curve --> tables, JSON, a plot with its data

A curve is measured on the held-out part of train while the rung is prepared: it shows what other bounds on
the loss would give. The other tables of the ladder show what the chosen point gives on the reported data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio
from harness.common.json_types import JsonValue
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.values.figures import Absent, Figures, name_of
from reports.values.ladder_model import LadderReport

_COSTS = {"layers_per_request": "layers", "tokens_per_request": "tokens"}
_NEVER = 100
"""The threshold in manifests that no confidence reaches."""

_PASSED_ON = "passed on"
"""The cost of a cascade beside seconds: the share of requests that its last stage answers."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One choice of thresholds or of kept tokens: the primary metric, seconds per request, and the cost.

    `spent` is in the unit of the curve. `joules` are seconds times the mean power of the rung when it was
    measured. `expected_loss`, in points, is the loss by the full model's own probabilities. Unknown values
    are None.
    """

    setting: str
    quality: float
    seconds: float
    spent: float | None
    joules: float | None
    chosen: bool
    expected_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """The points that no cheaper one matches in quality, cheapest first; `full` is the full model.

    `unit` is that of `OperatingPoint.spent`: layers, tokens, or the share passed on to the last stage.
    """

    rung: str
    metric: str
    examples: int
    unit: str
    full: OperatingPoint
    points: tuple[OperatingPoint, ...]
    grade: str
    record: str


@dataclass(frozen=True, slots=True)
class AtEqualQuality:
    """An adaptive rung beside a smaller model, which spends the same time on every request.

    `rival_gain` is the rival's measured speed-up over the first rung. `own_gain` is that of the cheapest
    point which is as good as the rival on the same held-out examples: over the rung's own full model, times
    that model's measured speed-up where it is not the first rung. None where there is no such point.
    """

    rung: str
    rival: str
    rival_quality: float
    rival_gain: Ratio | Absent
    own_quality: float | None
    own_gain: float | None


def curves_of(ladder: LadderReport) -> list[Curve]:
    """Return the curves of a ladder's adaptive rungs, in the order of the rungs."""
    curves = map(_curve, _figures_by_rung(ladder))
    return [curve for curve in curves if curve]


def at_equal_quality(ladder: LadderReport) -> list[AtEqualQuality]:
    """Return every adaptive rung with every distilled rung, which is scored on the same held-out examples."""
    curves = curves_of(ladder)
    adaptive = {curve.rung for curve in curves}
    pairs = []
    for figures in _figures_by_rung(ladder):
        selection = _manifest(figures.record).get("selection")
        rival = figures.record.cell.variant
        if isinstance(selection, Mapping) and rival not in adaptive:
            pairs += [_against_rival(curve, rival, selection, ladder) for curve in curves]
    return [pair for pair in pairs if pair]


def _against_rival(
    curve: Curve, rival: str, selection: Mapping[str, JsonValue], ladder: LadderReport
) -> AtEqualQuality | None:
    quality = selection.get("metrics", {}).get(curve.metric)
    if not isinstance(quality, float | int):
        return None
    gains = {rung.definition.name: rung.speedup.cumulative for rung in ladder.rungs}
    rival_gain, full_gain = gains.get(rival), _full_model_gain(curve, ladder, gains)
    good_enough = [
        point
        for point in (*curve.points, curve.full)
        if point.quality >= quality - 1e-9 and point.seconds > 0
    ]
    best = min(good_enough, key=lambda point: point.seconds, default=None)
    return AtEqualQuality(
        rung=curve.rung,
        rival=rival,
        rival_quality=float(quality),
        rival_gain=Unavailable("it was not measured") if rival_gain is None else rival_gain,
        own_quality=best.quality if best else None,
        own_gain=full_gain * curve.full.seconds / best.seconds if best and full_gain else None,
    )


def _full_model_gain(curve: Curve, ladder: LadderReport, gains: Mapping[str, Ratio | Absent]) -> float | None:
    """Return the speed-up over the first rung of the rung that an adaptive one builds on: its full model."""
    over = next(rung.definition.over for rung in ladder.rungs if rung.definition.name == curve.rung)
    if over in ("", ladder.rungs[0].definition.name):
        return 1.0
    gain = gains.get(over)
    return gain.value if isinstance(gain, Ratio) else None


def _curve(figures: Figures) -> Curve | None:
    calibration = _manifest(figures.record).get("calibration")
    if not isinstance(calibration, Mapping) or not {"curve", "chosen", "full", "full_seconds"} <= set(
        calibration
    ):
        return None
    watts = _watts(figures)
    chosen = calibration["chosen"]
    points = tuple(_point(fields, watts, chosen=fields == chosen) for fields in calibration["curve"])
    if chosen not in calibration["curve"]:
        points = tuple(sorted((*points, _point(chosen, watts, chosen=True)), key=lambda point: point.seconds))
    full = {"quality": calibration["full"], "seconds_per_request": calibration["full_seconds"]}
    return Curve(
        rung=figures.record.cell.variant,
        metric=str(calibration["metric"]),
        examples=int(calibration["examples"]),
        unit=next((unit for name, unit in _COSTS.items() if name in chosen), _PASSED_ON),
        full=_point(full, watts, chosen=False),
        points=points,
        grade=figures.energy.grade if isinstance(figures.energy, EnergyEstimate) else "",
        record=name_of(figures.record),
    )


def _point(fields: Mapping[str, JsonValue], watts: float | None, *, chosen: bool) -> OperatingPoint:
    seconds = float(fields["seconds_per_request"])
    spent = next((fields[name] for name in _COSTS if name in fields), None)
    if spent is None and fields.get("shares"):
        spent = fields["shares"][-1]
    return OperatingPoint(
        setting=_setting(fields),
        quality=float(fields["quality"]),
        seconds=seconds,
        spent=None if spent is None else float(spent),
        joules=None if watts is None else seconds * watts,
        chosen=chosen,
        expected_loss=fields.get("expected_loss"),
    )


def _setting(fields: Mapping[str, JsonValue]) -> str:
    """Return the thresholds, with `never` for one that nothing reaches, or the share of tokens kept."""
    if "keep" in fields:
        return f"keep {fields['keep']:g}"
    thresholds = [
        "never" if threshold >= _NEVER else f"{threshold:.3g}" for threshold in fields.get("thresholds", ())
    ]
    return ", ".join(thresholds) or "full"


def _watts(figures: Figures) -> float | None:
    if not isinstance(figures.energy, EnergyEstimate) or not isinstance(figures.time, Estimate):
        return None
    return figures.energy.microjoules.value * 1e-6 / (figures.time.value * 1e-9)


def _figures_by_rung(ladder: LadderReport) -> Sequence[Figures]:
    """Return the figures of each rung once: those of offline, else those of single-stream."""
    by_variant: dict[str, Figures] = {}
    for figures in (*ladder.offline, *ladder.single_stream):
        by_variant.setdefault(figures.record.cell.variant, figures)
    names = [rung.definition.name for rung in ladder.rungs]
    return [by_variant[name] for name in names if name in by_variant]


def _manifest(record: Record) -> Mapping[str, JsonValue]:
    return record.artifact.manifest if record.artifact else {}
