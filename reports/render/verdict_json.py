"""Verdicts as JSON objects, beside the sentence that a report prints."""

from harness.analysis.verdict import GroupVerdict, PassedOver, QualityLoss, ServedRate
from harness.common.json_types import JsonObject, JsonValue
from harness.records.estimate import Unavailable
from reports.layout.verdict_sentences import sentence_of
from reports.render.json_values import as_value, because


def verdict_fields(verdict: GroupVerdict) -> JsonObject:
    """Return a verdict as a JSON object, unrounded; an absent part is null or has its reason."""
    cell = verdict.record.cell
    return {
        "run": verdict.record.run,
        "group": cell.group,
        "task": cell.task,
        "scenario": cell.scenario,
        "outcome": verdict.outcome,
        "variant": verdict.variant,
        "sentence": sentence_of(verdict),
        "max_quality_loss_points": verdict.permitted,
        "candidates": verdict.candidates,
        "factors": {ratio.over: as_value(ratio) for ratio in verdict.factors},
        "quality_change_points": _loss_fields(verdict.loss),
        "energy_reduction": _energy_fields(verdict),
        "tied": list(verdict.tied),
        "passed_over": [_passed_fields(item) for item in verdict.passed_over],
        "failed": list(verdict.failed),
        "rates": [_rate_fields(rate) for rate in verdict.rates],
        "command": as_value(verdict.command) if isinstance(verdict.command, Unavailable) else verdict.command,
    }


def _loss_fields(loss: object) -> JsonValue:
    match loss:
        case QualityLoss():
            change = loss.change
            values = as_value(change.points)
            return {**values, "metric": change.metric, "paired": change.paired, "fit": loss.fit}
        case None:
            return None
        case _:
            return because(str(getattr(loss, "reason", loss)))


def _energy_fields(verdict: GroupVerdict) -> JsonValue:
    if verdict.energy is None:
        return None
    grade = verdict.energy_of.grade if verdict.energy_of else "unavailable"
    return {"grade": grade, **as_value(verdict.energy)}


def _passed_fields(item: PassedOver) -> JsonObject:
    return {
        "variant": item.variant,
        "factor": as_value(item.factor),
        "quality_change_points": _loss_fields(item.loss),
    }


def _rate_fields(rate: ServedRate) -> JsonObject:
    return {
        "variant": rate.variant,
        "highest_rate": rate.rate,
        "percentile": rate.percentile,
        "latency_ns": as_value(rate.latency_ns),
    }
