"""The search for the length schedule: the cheapest of a family that is allowed on held-out examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.systems.interface import PreparationSources
from harness.workload.tasks.example import Example
from optimized.adaptive.calibration import held_out_examples
from optimized.adaptive.confidence import ThresholdChoice, choose, is_within, pareto_front, standard_error
from optimized.adaptive.expected_loss import CalibratedModel, calibrate_model
from optimized.adaptive.token_dropping.budget import ALL, FAMILY
from optimized.adaptive.token_dropping.system import open_tokens
from optimized.graphs.candidates import CandidateTimer


@dataclass(frozen=True, slots=True)
class _Schedule:
    """One kept share with its quality and cost; `tokens` is the mean of a layer's tokens per request."""

    choice: ThresholdChoice
    tokens: float

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        facts = {"keep": self.choice.thresholds[0], **self.choice.facts()}
        del facts["thresholds"], facts["shares"]
        return {**facts, "tokens_per_request": round(self.tokens, 6)}


def schedule_of(
    folder: Path,
    after: Sequence[int],
    loss: float,
    before: Mapping[str, float] | None,
    sources: PreparationSources,
    timer: CandidateTimer,
) -> dict[str, Any]:
    """Return the schedule that loses at most `loss` points on held-out examples, and its calibration.

    By labels, the loss is against `before`, the metrics of the model before length dropout, or without that
    training against the model with all tokens. The expected loss is always against the model with all tokens.
    If no schedule is allowed by both, the one with the smallest expected loss is chosen, which keeps all
    tokens, and `reached` is False.
    """
    held_out = held_out_examples(sources, timer.name)
    timer.context.progress(f"running {len(FAMILY)} kept shares on {len(held_out)} held-out examples")
    schedules, full_model = _evaluate_family(folder, after, held_out, timer)
    metric = timer.task.scoring.metrics[0]
    all_tokens = schedules[0].choice
    full = before[metric] if before else all_tokens.quality
    chosen = choose([schedule.choice for schedule in schedules], full, loss)
    facts = {schedule.choice: schedule.facts() for schedule in schedules}
    return {
        "kept_percent": round(ALL * chosen.thresholds[0]),
        "calibration": {
            "examples": len(held_out),
            "split": "train, held out",
            "data_sha256": sources.training_sha256,
            "metric": metric,
            "loss_allowed": loss,
            "reached": is_within(chosen, full, loss),
            "temperature": round(full_model.temperature, 6),
            "full": round(full, 6),
            "full_seconds": all_tokens.seconds,
            "chosen": facts[chosen],
            "curve": [facts[choice] for choice in pareto_front(list(facts))],
            "family": list(facts.values()),
        },
    }


def _evaluate_family(
    folder: Path, after: Sequence[int], held_out: Sequence[Example], timer: CandidateTimer
) -> tuple[list[_Schedule], CalibratedModel]:
    """Return the outcome of every schedule, all tokens first, and the model with all tokens, calibrated."""
    system = open_tokens(folder, timer.task, after, ALL, timer.context.placement, timer.settings)
    try:
        systems = {str(keep): system.keeping(keep) for keep in FAMILY}
        seconds = timer.context.measure(dict(systems), timer.trial)
        requests = system.encode(held_out)
        predictions = {keep: candidate.predict(requests) for keep, candidate in systems.items()}
    finally:
        system.close()
    full_model = calibrate_model(timer.task, held_out, predictions[str(ALL)])
    schedules = []
    for keep, answers in predictions.items():
        labels = timer.task.decide(answers.logits, answers.offsets)
        losses = 100 * full_model.expected_loss(answers)
        choice = ThresholdChoice(
            thresholds=(int(keep) / ALL,),
            quality=timer.task.scoring(held_out, labels)[timer.task.scoring.metrics[0]],
            seconds=seconds[keep],
            shares=(),
            loss=float(losses.mean()),
            loss_error=standard_error(losses),
        )
        schedules.append(_Schedule(choice, float(answers.costs["tokens"].mean())))
    return schedules, full_model
