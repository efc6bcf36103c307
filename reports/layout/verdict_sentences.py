"""The verdicts of a report as sentences.

GroupVerdict --sentence_of--> "onnx-int8 is the fastest variant within 1 point of accuracy: 4.2x ..."
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import COMPILED, Ratio
from harness.analysis.verdict import GroupVerdict, PassedOver, QualityLoss, Reference, ServedRate
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import model_of
from harness.records.record import Record
from reports.layout.escaping import printable
from reports.layout.metric_names import metric_name
from reports.layout.number_format import TIMES, shown, unit_for, with_interval
from reports.layout.verdict_labels import group_labels

LIMIT = 12
"""Verdicts that a text shows; JSON holds all of them."""

_DETAILS = re.compile(r" of |[(,]")
"""Where the name of a model of energy ends and its details begin; the line `meter` has them."""

_PERMIT = "Permit more with --max-quality-loss, or try a gentler variant."
_KINDS = {
    "unpadded": "PyTorch without padding",
    "padded": "the padded baseline",
    "first rung": "the first rung",
    "compiled": "compiled PyTorch",
}


@dataclass(frozen=True, slots=True)
class VerdictText:
    """A verdict for people: what it is about where a report has several, the sentence, and the command."""

    about: str
    sentence: str
    command: str = ""


def verdict_texts(
    verdicts: Sequence[GroupVerdict], groups: Sequence[Record] | None = None
) -> list[VerdictText]:
    """Return the verdicts of a report, at most `LIMIT`; the last then counts those that are left out.

    `groups` has a record of each group of the report, where `verdicts` are only the first ones.
    """
    records = [verdict.record for verdict in verdicts] if groups is None else groups
    labels = group_labels(records)
    texts = [
        VerdictText(label, sentence_of(verdict), command_of(verdict))
        for label, verdict in zip(labels, verdicts[:LIMIT], strict=False)
    ]
    omitted = len(records) - LIMIT
    if omitted <= 0:
        return texts
    more = f"{omitted} more group{'s' if omitted > 1 else ''}: `bench report --json` has a verdict on each."
    return [*texts, VerdictText("", more)]


def sentence_of(verdict: GroupVerdict) -> str:
    """Return one sentence or two, without markup; names from records are on one line."""
    parts = (_MAIN[verdict.outcome], _besides, _unmeasured, _not_exported)
    sentences = [part(verdict) for part in parts]
    return printable(" ".join(sentence for sentence in sentences if sentence))


def _faster(verdict: GroupVerdict) -> str:
    return (
        f"{_name(verdict)} is the fastest variant within {points_text(verdict.permitted)} of "
        f"{metric_of(verdict)}: {_factors(verdict)}, {_change(verdict)}{_energy(verdict)}."
    )


def _quality_uncertain(verdict: GroupVerdict) -> str:
    """Return that the sample does not settle it: equal answers to few, a greater loss, or a wide interval."""
    loss, fastest = verdict.loss, f"{_name(verdict)} is the fastest, {_factors(verdict)}"
    limit = f"{points_text(verdict.permitted)} of {metric_of(verdict)}"
    if not isinstance(loss, QualityLoss):
        return f"{fastest}."
    scored = _scored(verdict)
    if loss.same_answers:
        quality = f"with the same answers to all {scored}, too few to rule out a loss of more than {limit}"
    elif loss.needed is None:
        quality = f"{_change(verdict)}: more than the permitted {limit}, though {scored} do not settle it"
    else:
        quality = f"{_change(verdict)}: {scored} are too few to say that it loses at most {limit}"
    return f"{fastest}, {quality}{_energy(verdict)}. {_more_examples(verdict)}"


def _quality_lost(verdict: GroupVerdict) -> str:
    return (
        f"No faster variant loses at most {points_text(verdict.permitted)} of {metric_of(verdict)}: the "
        f"fastest, {_name(verdict)}, is {_factors(verdict)}, {_change(verdict)}{_energy(verdict)}. "
        f"{_PERMIT}"
    )


def _quality_unknown(verdict: GroupVerdict) -> str:
    reason = getattr(verdict.loss, "reason", "it was not scored")
    step = (
        ""
        if verdict.record.model.trained
        else " Measure fine-tuned weights (--model) before you hand it over."
    )
    return (
        f"{_name(verdict)} is the fastest variant: {_factors(verdict)}{_energy(verdict)}; its quality is "
        f"unknown, because {reason}.{step}"
    )


def _speed_uncertain(verdict: GroupVerdict) -> str:
    return (
        f"No variant is surely faster than {_reference(verdict.references[0])}: the fastest, "
        f"{_name(verdict)}, is {_times(verdict.factors[0])} as fast, {verdict.reason}"
    )


def _not_faster(verdict: GroupVerdict) -> str:
    return (
        f"No variant is faster than {_reference(verdict.references[0])}: the fastest, {_name(verdict)}, is "
        f"{_times(verdict.factors[0])} as fast."
    )


def _only_references(verdict: GroupVerdict) -> str:
    if verdict.reason:
        return f"No variant is compared with {_reference(verdict.references[0])}, because {verdict.reason}."
    advice = "Name others with --variants (`bench list`)."
    if not verdict.factors:
        return f"No other variant was measured beside {_reference(verdict.references[0])}. {advice}"
    return (
        f"No other variant was measured: {_reference(verdict.references[0])} is {_factors(verdict)}. {advice}"
    )


def _no_reference(verdict: GroupVerdict) -> str:
    del verdict
    return (
        "No verdict: neither pytorch-dynamic nor pytorch-fixed was measured, so nothing is compared. "
        "Add pytorch-dynamic to --variants."
    )


def _nothing_measured(verdict: GroupVerdict) -> str:
    del verdict
    return "No verdict: nothing was measured; the reasons stand below the table."


def _null_test(verdict: GroupVerdict) -> str:
    return f"A null test: {verdict.record.cell.variant} was measured against itself, so no variant is chosen."


def _offered_rate(verdict: GroupVerdict) -> str:
    rated = [rate for rate in verdict.rates if rate.rate is not None]
    objective = verdict.record.load.promise if verdict.record.load else ""
    if objective:
        return _highest_rate(verdict, rated, objective)
    timed = [rate for rate in verdict.rates if isinstance(rate.latency_ns, Estimate)]
    if not timed:
        return "At an offered rate there is no speed-up, and too few requests were timed for a percentile."
    soonest = min(timed, key=_latency)
    others = [rate for rate in timed if rate.variant == _primary(verdict) and rate is not soonest]
    compared = "".join(f", {rate.variant} in {_milliseconds(rate)}" for rate in others)
    return (
        f"At an offered rate there is no speed-up: {soonest.variant} answers soonest, {soonest.percentile} "
        f"in {_milliseconds(soonest)}{compared}. Search the highest rate with --slo, such as p99=20ms."
    )


def _highest_rate(verdict: GroupVerdict, rated: Sequence[ServedRate], objective: str) -> str:
    if not rated:
        return (
            f"No variant kept {objective} at any rate that was tried. Allow more time, or fewer threads each."
        )
    best = max(rated, key=lambda rate: rate.rate or 0.0)
    own = next((rate for rate in rated if rate.variant == _primary(verdict)), None)
    over = ""
    if own and own is not best and own.rate:
        over = f", {shown((best.rate or 0.0) / own.rate)} times that of {own.variant} ({shown(own.rate)})"
    return (
        f"{best.variant} keeps {objective} at the highest rate: {shown(best.rate or 0.0)} requests/s{over}. "
        f"Rates are those of single trials, without an interval{_few_in_trials(verdict)}."
    )


def _few_in_trials(verdict: GroupVerdict) -> str:
    """Return that the percentile was judged over too few requests, or nothing."""
    trials = verdict.record.load.trials if verdict.record.load else ()
    if not trials or trials[0].have >= trials[0].needed:
        return ""
    return (
        f", and only indications: the objective was judged over {trials[0].have:,} distinct requests, and "
        f"needs {trials[0].needed:,}"
    )


_MAIN: Mapping[str, Callable[[GroupVerdict], str]] = {
    "faster": _faster,
    "quality uncertain": _quality_uncertain,
    "quality lost": _quality_lost,
    "quality unknown": _quality_unknown,
    "speed uncertain": _speed_uncertain,
    "not faster": _not_faster,
    "only references": _only_references,
    "no reference": _no_reference,
    "nothing measured": _nothing_measured,
    "offered rate": _offered_rate,
    "null test": _null_test,
}


def _besides(verdict: GroupVerdict) -> str:
    """Return the sentence on other variants: faster ones that were passed over, ties, failures."""
    clauses = [
        f"{item.variant} is faster ({_times(item.factor)}), but {_passed_reason(item)}"
        for item in verdict.passed_over
        if verdict.outcome == "faster"
    ]
    if verdict.tied:
        clauses.append(f"{', '.join(verdict.tied)} cannot be told from it in speed")
    if verdict.failed:
        clauses.append(f"{', '.join(verdict.failed)} failed")
    return f"{'; '.join(clauses)}." if clauses else ""


def _unmeasured(verdict: GroupVerdict) -> str:
    """Return that compiled PyTorch was not measured, where variants are compared without it."""
    kinds = {reference.kind for reference in verdict.references}
    compares = bool(verdict.factors) and verdict.outcome != "only references"
    if not compares or "compiled" in kinds or COMPILED in verdict.failed:
        return ""
    return f"Compiled PyTorch ({COMPILED}) was not measured."


def _passed_reason(item: PassedOver) -> str:
    points = item.loss.change.points
    value, interval = signed_points(points)
    changes = f"its {metric_name(item.loss.change.metric)} changes by {value} points {interval}"
    return changes if item.loss.fit == "beyond" else f"{changes}, which may be too much"


def _not_exported(verdict: GroupVerdict) -> str:
    if not _is_handed_over(verdict) or not isinstance(verdict.command, Unavailable):
        return ""
    return f"It cannot be exported: {verdict.command.reason}."


def _is_handed_over(verdict: GroupVerdict) -> bool:
    trained = verdict.record.model.trained
    return verdict.outcome == "faster" or (verdict.outcome == "quality unknown" and trained)


def command_of(verdict: GroupVerdict) -> str:
    """Return the command that exports the variant, where a verdict hands one over; else nothing."""
    shows = _is_handed_over(verdict)
    return verdict.command if shows and isinstance(verdict.command, str) else ""


def _factors(verdict: GroupVerdict) -> str:
    """Return `4.20x [...] as fast as PyTorch without padding (pytorch-dynamic), 7.21x [...] as ...`."""
    offline = verdict.record.cell.scenario == "offline"
    kinds = {reference.name: reference for reference in verdict.references}
    parts = [
        f"{_times(ratio)} {'the throughput of' if offline else 'as fast as'} {_reference(kinds[ratio.over])}"
        for ratio in verdict.factors
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _reference(reference: Reference) -> str:
    return f"{_KINDS[reference.kind]} ({reference.name})"


def _name(verdict: GroupVerdict) -> str:
    """Return the variant; with the engine that it chose, if it chooses one."""
    effective = verdict.chosen.placement.effective if verdict.chosen and verdict.chosen.placement else {}
    engine = effective.get("chosen")
    return f"{verdict.variant} (here {engine})" if isinstance(engine, str) else str(verdict.variant)


def _times(ratio: Ratio) -> str:
    value, interval = with_interval(ratio.value, ratio.low, ratio.high)
    return f"{value}x {interval}"


def _change(verdict: GroupVerdict) -> str:
    if not isinstance(verdict.loss, QualityLoss):
        return ""
    points = verdict.loss.change.points
    if verdict.loss.same_answers:
        return f"with the same answers to all {_scored(verdict)}"
    value, interval = signed_points(points)
    return f"with a change of {metric_of(verdict)} of {value} points {interval}"


def signed_points(points: Estimate) -> tuple[str, str]:
    """Return a change in points with its sign, and its interval."""
    value, interval = with_interval(points.value, points.low, points.high)
    return (f"+{value}" if points.value > 0 else value), interval


def _energy(verdict: GroupVerdict) -> str:
    energy = verdict.energy_of
    if not isinstance(verdict.energy, Ratio) or not isinstance(energy, EnergyEstimate):
        return ""
    what = energy.scope if energy.grade == "measured" else _DETAILS.split(model_of(energy.source))[0]
    return f"; {energy.grade} energy reduction {_times(verdict.energy)} ({what})"


def _scored(verdict: GroupVerdict) -> str:
    quality = verdict.record.quality
    count = quality.timed + quality.untimed if quality else 0
    return f"{count:,} example{'' if count == 1 else 's'}"


def _more_examples(verdict: GroupVerdict) -> str:
    loss = verdict.loss
    if not isinstance(loss, QualityLoss):
        return ""
    if loss.needed is None:
        return _PERMIT
    quality, data = verdict.record.quality, verdict.record.data
    scored = quality.timed + quality.untimed if quality else 0
    needed = round(loss.needed * scored / max(loss.change.points.count, 1))
    if scored < data.examples and needed <= data.examples:
        remedy = f": score all {data.examples:,} of the split (--quality full)"
    else:
        rest = "score all of them (--quality full), " if scored < data.examples else ""
        remedy = f", and the split has {data.examples:,}: {rest}give more data"
    return f"About {needed:,} examples would be enough{remedy}, or permit more with --max-quality-loss."


def metric_of(verdict: GroupVerdict) -> str:
    """Return the display name of the metric that a verdict is about."""
    if isinstance(verdict.loss, QualityLoss):
        return metric_name(verdict.loss.change.metric)
    return metric_name(verdict.record.quality.primary) if verdict.record.quality else "quality"


def points_text(points: float) -> str:
    """Return `1 point` or `2.5 points`."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def _primary(verdict: GroupVerdict) -> str:
    return verdict.references[0].name if verdict.references else ""


def _latency(rate: ServedRate) -> float:
    return rate.latency_ns.value if isinstance(rate.latency_ns, Estimate) else float("inf")


def _milliseconds(rate: ServedRate) -> str:
    latency = rate.latency_ns
    if not isinstance(latency, Estimate):
        return "unknown"
    unit = unit_for([latency.value], TIMES)
    value, interval = with_interval(
        *(part / unit.size for part in (latency.value, latency.low, latency.high))
    )
    return f"{value} {unit.name} {interval}"
