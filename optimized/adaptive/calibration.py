"""Thresholds from the held-out part of train: what cascades and early exits have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.training.datasets import SPLIT_SEED, split_for_selection
from harness.common.errors import UsageError
from harness.systems.interface import Predictions, PreparationSources
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.confidence import StageOutcome, ThresholdChoice, choose, curve, front
from optimized.adaptive.criteria import run_lengths, sureness
from optimized.adaptive.expected_loss import CalibratedModel, judge_of

RULE = 4
"""Version of how thresholds and schedules are chosen, a part of the key of what holds them."""

GIVEN = "unavailable, because thresholds were given"
"""What a manifest says in place of a calibration."""


def held_out_of(sources: PreparationSources, name: str) -> list[Example]:
    """Return the tenth of train from which no recipe learns; UsageError where there is no training split."""
    training = sources.training()
    if not training:
        raise UsageError(
            "thresholds come from training examples, and there are none.",
            where=name,
            remedy="Use data with a training split, or give thresholds.",
        )
    return split_for_selection(training, SPLIT_SEED)[1]


@dataclass(frozen=True, slots=True)
class StageAnswers:
    """Every stage asked about all held-out examples."""

    task: Task
    held_out: Sequence[Example]
    training_sha256: str
    """Of the split that they come from."""
    found: Sequence[Predictions]
    """By stage, the full model's last."""
    seconds: Sequence[float]
    """A request's time, by stage."""
    full_seconds: float
    """A request's time in the full model: in early exits all stages together, in a cascade the last."""
    skips_the_unsure: bool = False
    """Whether a stage that is never sure is not asked, and costs nothing."""


def calibrated(
    asked: StageAnswers,
    loss: float,
    criterion: str,
    more: Callable[[ThresholdChoice], dict[str, Any]] = lambda _: {},
) -> dict[str, Any]:
    """Return the chosen thresholds and what they were chosen from; `more` says more of a point."""
    task, held_out = asked.task, asked.held_out
    judge = judge_of(task, held_out, asked.found[-1])
    said = _said(asked, judge, criterion)
    metric = task.scoring.metrics[0]
    alone = [task.scoring(held_out, stage.answers)[metric] for stage in said]
    points = curve(task, held_out, said, criterion, left_out=asked.skips_the_unsure)
    chosen = choose(points, alone[-1], loss)
    return {
        "thresholds": list(chosen.thresholds),
        "calibration": {
            "examples": len(held_out),
            "split": "train, held out",
            "data_sha256": asked.training_sha256,
            "metric": metric,
            "loss_allowed": loss,
            "criterion": criterion,
            "temperature": round(judge.temperature, 6),
            "full": round(alone[-1], 6),
            "full_seconds": asked.full_seconds,
            "stages_alone": [round(each, 6) for each in alone],
            "stages_expected_loss": [round(100 * float(stage.losses.mean()), 6) for stage in said],
            "seconds_alone": list(asked.seconds),
            "chosen": {**chosen.facts(), **more(chosen)},
            "curve": [{**point.facts(), **more(point)} for point in front(points)],
        },
    }


def _said(asked: StageAnswers, judge: CalibratedModel, criterion: str) -> list[StageOutcome]:
    """Return each stage's answers, how sure it was, what they are expected to lose, and its seconds."""
    task, found = asked.task, asked.found
    answers = [tuple(task.decide(each.logits, each.offsets)) for each in found]
    if criterion == "patience":
        sure = run_lengths(answers)
    else:
        sure = [sureness(task, each.logits, each.offsets, criterion) for each in found]
    losses = [judge.loss(each) for each in found]
    return [StageOutcome(*each) for each in zip(answers, sure, losses, asked.seconds, strict=True)]
