"""The top of the page: a headline, figures in large type, the sentence, and the command."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio
from harness.analysis.verdict import GroupVerdict, QualityLoss
from reports.layout.number_format import with_interval
from reports.layout.verdict_labels import group_labels
from reports.layout.verdict_sentences import command_of, metric_of, points_text, sentence_of, signed_points

_SHORT = {
    "quality lost": "No faster variant within {permitted}",
    "speed uncertain": "Nothing is surely faster",
    "not faster": "Nothing is faster",
    "only references": "Only PyTorch was measured",
    "no reference": "No verdict: no reference was measured",
    "nothing measured": "No verdict: nothing was measured",
    "null test": "A null test",
    "offered rate": "At an offered rate there is no speed-up",
}


_OUTCOMES = {
    "faster": "loss permitted",
    "quality uncertain": "loss not settled",
    "quality lost": "loses too much",
    "speed uncertain": "not surely faster",
}
_FASTEST = ("faster", "quality uncertain", "quality unknown", "quality lost")
_PAIR = 2
MOST_CLAIMS = 24
"""Verdicts that a page shows; each table below has its own figures."""

_KINDS = {
    "unpadded": "over PyTorch without padding",
    "padded": "over the padded baseline",
    "first rung": "over the first rung",
    "compiled": "over compiled PyTorch",
}
QUALITY, ENERGY = "change of quality, points", "energy reduction"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure in large type: its kind, its label, the value, and the interval or grade beside it.

    `kind` is the column of a table of several verdicts.
    """

    kind: str
    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """One verdict on the page."""

    about: str
    outcome: str
    variant: str
    tiles: tuple[Tile, ...]
    sentence: str
    command: str
    record: str


def headline_of(verdicts: Sequence[GroupVerdict]) -> str:
    """Return the heading of the page: the answer in a few words."""
    if not verdicts:
        return "No records"
    if len(verdicts) == 1:
        return _headline(verdicts[0])
    labels = group_labels([verdict.record for verdict in verdicts])
    if len(verdicts) == _PAIR:
        return f"{_headline(verdicts[0])} ({labels[0]})"
    named = Counter(verdict.variant for verdict in verdicts if verdict.outcome in _FASTEST)
    if not named:
        return f"No variant is surely faster in any of {len(verdicts)} groups"
    ((variant, count),) = named.most_common(1)
    settled = sum(verdict.outcome == "faster" for verdict in verdicts)
    permitted = points_text(max(verdict.permitted for verdict in verdicts))
    fastest = f"{variant} is the fastest in {count} of {len(verdicts)} groups"
    return f"{fastest}; in {settled} the loss is surely within {permitted}"


def claims_of(verdicts: Sequence[GroupVerdict]) -> list[Claim]:
    """Return the verdicts as the page shows them, at most `MOST_CLAIMS`."""
    labels = group_labels([verdict.record for verdict in verdicts])
    return [
        Claim(
            label,
            _OUTCOMES.get(verdict.outcome, verdict.outcome),
            verdict.variant or "none",
            tuple(_tiles(verdict)),
            sentence_of(verdict),
            command_of(verdict),
            _record(verdict),
        )
        for label, verdict in zip(labels, verdicts[:MOST_CLAIMS], strict=False)
    ]


def _record(verdict: GroupVerdict) -> str:
    return f"{verdict.chosen.run}/{verdict.chosen.cell.id}" if verdict.chosen else ""


def _headline(verdict: GroupVerdict) -> str:
    if verdict.outcome in _SHORT:
        return _SHORT[verdict.outcome].format(permitted=points_text(verdict.permitted))
    factor = f"{_value(verdict.factors[0])} as fast" if verdict.factors else "the fastest"
    return f"{verdict.variant}: {factor}, {_quality(verdict)}"


def _quality(verdict: GroupVerdict) -> str:
    """Return what is known of the quality in a few words."""
    if verdict.outcome == "quality unknown" or not isinstance(verdict.loss, QualityLoss):
        return "quality unknown"
    if verdict.outcome == "quality uncertain":
        return "quality not settled"
    if verdict.loss.same_answers:
        return "the same answers"
    return f"{metric_of(verdict)} {signed_points(verdict.loss.change.points)[0]} points"


def _tiles(verdict: GroupVerdict) -> Iterator[Tile]:
    kinds = {reference.name: _KINDS[reference.kind] for reference in verdict.references}
    for ratio in verdict.factors:
        kind = kinds[ratio.over]
        yield Tile(kind, f"{kind} ({ratio.over})", _value(ratio), _interval(ratio))
    if isinstance(verdict.loss, QualityLoss):
        yield _quality_tile(verdict, verdict.loss)
    elif verdict.loss is not None:
        yield Tile(QUALITY, "quality", "unknown")
    if isinstance(verdict.energy, Ratio) and isinstance(verdict.energy_of, EnergyEstimate):
        label = f"{verdict.energy_of.grade} energy reduction"
        yield Tile(ENERGY, label, _value(verdict.energy), _interval(verdict.energy))


def _quality_tile(verdict: GroupVerdict, loss: QualityLoss) -> Tile:
    value, interval = signed_points(loss.change.points)
    settled = {"within": "", "beyond": ", too much", "uncertain": ", not settled"}[loss.fit]
    label = f"change of {metric_of(verdict)}, points{settled}"
    if loss.same_answers:
        return Tile(QUALITY, label, "same answers", f"{loss.change.points.count:,} examples")
    return Tile(QUALITY, label, value, interval)


def columns_of(claims: Sequence[Claim]) -> list[str]:
    """Return the kinds of figures that any of several verdicts has, in order."""
    kinds = (*_KINDS.values(), QUALITY)
    return [kind for kind in kinds if any(tile.kind == kind for claim in claims for tile in claim.tiles)]


def _value(ratio: Ratio) -> str:
    return f"{with_interval(ratio.value, ratio.low, ratio.high)[0]}x"


def _interval(ratio: Ratio) -> str:
    return with_interval(ratio.value, ratio.low, ratio.high)[1]
