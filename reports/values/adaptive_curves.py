"""Quality against cost of adaptive rungs: the whole curve that calibration saw, not one point.

    manifests' `calibration` --curve_of--> Curve --> tables, JSON, a plot with its data

A curve is of the held-out part of train, and its seconds were taken when the rung was prepared: it says what
other losses would give. What the chosen point gives on what is reported, the ladder's other tables say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.values.figures import Absent, Figures, name_of
from reports.values.ladder_model import LadderReport

_COSTS = {"layers_per_request": "layers", "tokens_per_request": "tokens"}
_NEVER = 100
"""A threshold that nothing reaches, as manifests have it."""

_PASSED_ON = "passed on"
"""What a cascade spends, beside seconds: the share of requests that its last stage answers."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One choice of thresholds or of tokens: the primary metric, seconds a request, and what is spent.

    `joules` are seconds times the mean power of the rung when it was measured, `expected_loss` the points
    that are lost by the full model's own probabilities; None where they are not known.
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
    """The spots that no cheaper one matches in quality, cheapest first; `full` is the model that saves none.

    `unit` says what is spent: layers, tokens, or the share that is passed on to the last stage.
    """

    rung: str
    metric: str
    examples: int
    unit: str
    full: OperatingPoint
    spots: tuple[OperatingPoint, ...]
    grade: str
    record: str


@dataclass(frozen=True, slots=True)
class AtEqualQuality:
    """An adaptive rung and a smaller model that takes its time on every request.

    `rival_gain` is the rival's measured speed-up over the first rung. `own_gain` is that of the cheapest spot
    which is as good as the rival on the same held-out examples: over the rung's own full model, times that
    model's measured speed-up where it is not the first rung. None where there is none.
    """

    rung: str
    rival: str
    rival_quality: float
    rival_gain: Ratio | Absent
    own_quality: float | None
    own_gain: float | None


def curves_of(ladder: LadderReport) -> list[Curve]:
    """Return the curves of a ladder's adaptive rungs, in its order."""
    found = (_curve(item) for item in _figures(ladder))
    return [curve for curve in found if curve]


def at_equal_quality(ladder: LadderReport) -> list[AtEqualQuality]:
    """Return every adaptive rung beside every rung that was distilled, and so scored on the same examples."""
    curves = curves_of(ladder)
    adaptive = {curve.rung for curve in curves}
    found = []
    for item in _figures(ladder):
        selection = _manifest(item.record).get("selection")
        name = item.record.cell.variant
        if isinstance(selection, Mapping) and name not in adaptive:
            found += [_beside(curve, name, selection, ladder) for curve in curves]
    return [each for each in found if each]


def as_json(ladder: LadderReport) -> list[dict[str, Any]]:
    """Return the curves as JSON values, unrounded and in base units."""
    return [asdict(curve) for curve in curves_of(ladder)]


def _beside(
    curve: Curve, rival: str, selection: Mapping[str, Any], ladder: LadderReport
) -> AtEqualQuality | None:
    quality = selection.get("metrics", {}).get(curve.metric)
    if not isinstance(quality, float | int):
        return None
    gains = {rung.words.name: rung.speedup.cumulative for rung in ladder.rungs}
    gain, ahead = gains.get(rival), _ahead(curve, ladder, gains)
    enough = [
        spot for spot in (*curve.spots, curve.full) if spot.quality >= quality - 1e-9 and spot.seconds > 0
    ]
    best = min(enough, key=lambda spot: spot.seconds, default=None)
    return AtEqualQuality(
        rung=curve.rung,
        rival=rival,
        rival_quality=float(quality),
        rival_gain=Unavailable("it was not measured") if gain is None else gain,
        own_quality=best.quality if best else None,
        own_gain=ahead * curve.full.seconds / best.seconds if best and ahead else None,
    )


def _ahead(curve: Curve, ladder: LadderReport, gains: Mapping[str, Ratio | Absent]) -> float | None:
    """Return the speed-up over the first rung of the rung that an adaptive one is over: its full model."""
    over = next(rung.words.over for rung in ladder.rungs if rung.words.name == curve.rung)
    if over in ("", ladder.rungs[0].words.name):
        return 1.0
    found = gains.get(over)
    return found.value if isinstance(found, Ratio) else None


def _curve(item: Figures) -> Curve | None:
    found = _manifest(item.record).get("calibration")
    if not isinstance(found, Mapping) or not {"curve", "chosen", "full", "full_seconds"} <= set(found):
        return None
    watts = _watts(item)
    chosen = found["chosen"]
    spots = tuple(_spot(point, watts, chosen=point == chosen) for point in found["curve"])
    if chosen not in found["curve"]:
        spots = tuple(sorted((*spots, _spot(chosen, watts, chosen=True)), key=lambda spot: spot.seconds))
    return Curve(
        rung=item.record.cell.variant,
        metric=str(found["metric"]),
        examples=int(found["examples"]),
        unit=next((unit for name, unit in _COSTS.items() if name in chosen), _PASSED_ON),
        full=_spot(
            {"quality": found["full"], "seconds_per_request": found["full_seconds"]}, watts, chosen=False
        ),
        spots=spots,
        grade=item.energy.grade if isinstance(item.energy, EnergyEstimate) else "",
        record=name_of(item.record),
    )


def _spot(point: Mapping[str, Any], watts: float | None, *, chosen: bool) -> OperatingPoint:
    seconds = float(point["seconds_per_request"])
    spent = next((point[name] for name in _COSTS if name in point), None)
    if spent is None and point.get("shares"):
        spent = point["shares"][-1]
    return OperatingPoint(
        setting=_setting(point),
        quality=float(point["quality"]),
        seconds=seconds,
        spent=None if spent is None else float(spent),
        joules=None if watts is None else seconds * watts,
        chosen=chosen,
        expected_loss=point.get("expected_loss"),
    )


def _setting(point: Mapping[str, Any]) -> str:
    """Say thresholds, `never` among them, or the share of tokens that is kept."""
    if "keep" in point:
        return f"keep {point['keep']:g}"
    thresholds = point.get("thresholds", ())
    return ", ".join("never" if each >= _NEVER else f"{each:.3g}" for each in thresholds) or "full"


def _watts(item: Figures) -> float | None:
    if not isinstance(item.energy, EnergyEstimate) or not isinstance(item.time, Estimate):
        return None
    return item.energy.microjoules.value * 1e-6 / (item.time.value * 1e-9)


def _figures(ladder: LadderReport) -> Sequence[Figures]:
    """Return the figures of each rung once: offline, or else one request at a time."""
    found: dict[str, Figures] = {}
    for item in (*ladder.offline, *ladder.single):
        found.setdefault(item.record.cell.variant, item)
    return [found[rung.words.name] for rung in ladder.rungs if rung.words.name in found]


def _manifest(record: Record) -> Mapping[str, Any]:
    return record.artifact.manifest if record.artifact else {}
