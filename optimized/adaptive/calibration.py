"""Calibration of thresholds on the held-out part of the training split, for cascades and early exits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.training.datasets import SPLIT_SEED, split_for_selection
from harness.common.errors import UsageError
from harness.systems.interface import Predictions, PreparationSources
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.confidence import StageOutcome, ThresholdChoice, choose, curve, pareto_front
from optimized.adaptive.criteria import confidence_scores, run_lengths
from optimized.adaptive.expected_loss import CalibratedModel, calibrate_model

RULE = 4
"""The version of the rule that chooses thresholds and schedules, a part of their artifacts' keys."""

GIVEN = "unavailable, because thresholds were given"
"""The manifest's `calibration` where thresholds are options."""


def held_out_examples(sources: PreparationSources, name: str) -> list[Example]:
    """Return the tenth of the training split that trains nothing; UsageError without a training split."""
    training = sources.training()
    if not training:
        raise UsageError(
            "thresholds are calibrated on training examples, and there are none.",
            where=name,
            remedy="Use data with a training split, or give thresholds.",
        )
    return split_for_selection(training, SPLIT_SEED)[1]


@dataclass(frozen=True, slots=True)
class StageAnswers:
    """The predictions of every stage for all held-out examples, and the stages' times.

    `predictions` and `seconds` (per request) have one entry for each stage; the last stage is the full model.
    `full_seconds` is the full model's time per request: the sum over all stages for early exit, the last
    stage's for a cascade. With `skip_closed`, a stage with the threshold `never` is not run.
    """

    task: Task
    held_out: Sequence[Example]
    training_sha256: str
    predictions: Sequence[Predictions]
    seconds: Sequence[float]
    full_seconds: float
    skip_closed: bool = False


def calibrate(
    answers: StageAnswers,
    loss: float,
    criterion: str,
    more_facts: Callable[[ThresholdChoice], dict[str, Any]] = lambda _: {},
) -> dict[str, Any]:
    """Return thresholds for at most `loss` points and their calibration, as fields of a manifest.

    `more_facts` returns further fields for a choice of thresholds.
    """
    task, held_out = answers.task, answers.held_out
    full_model = calibrate_model(task, held_out, answers.predictions[-1])
    stages = _stage_outcomes(answers, full_model, criterion)
    metric = task.scoring.metrics[0]
    alone = [task.scoring(held_out, stage.answers)[metric] for stage in stages]
    choices = curve(task, held_out, stages, criterion, skip_closed=answers.skip_closed)
    chosen = choose(choices, alone[-1], loss)
    return {
        "thresholds": list(chosen.thresholds),
        "calibration": {
            "examples": len(held_out),
            "split": "train, held out",
            "data_sha256": answers.training_sha256,
            "metric": metric,
            "loss_allowed": loss,
            "criterion": criterion,
            "temperature": round(full_model.temperature, 6),
            "full": round(alone[-1], 6),
            "full_seconds": answers.full_seconds,
            "stages_alone": [round(quality, 6) for quality in alone],
            "stages_expected_loss": [round(100 * float(stage.losses.mean()), 6) for stage in stages],
            "seconds_alone": list(answers.seconds),
            "chosen": {**chosen.facts(), **more_facts(chosen)},
            "curve": [{**choice.facts(), **more_facts(choice)} for choice in pareto_front(choices)],
        },
    }


def _stage_outcomes(answers: StageAnswers, full_model: CalibratedModel, criterion: str) -> list[StageOutcome]:
    task, stages = answers.task, answers.predictions
    labels = [tuple(task.decide(stage.logits, stage.offsets)) for stage in stages]
    if criterion == "patience":
        scores = run_lengths(labels)
    else:
        scores = [confidence_scores(task, stage.logits, stage.offsets, criterion) for stage in stages]
    losses = [full_model.expected_loss(stage) for stage in stages]
    return list(map(StageOutcome, labels, scores, losses, answers.seconds))
