"""The thresholds below which the next stage is asked: what each choice of them gives, and the cheapest.

How sure a stage is, a criterion says (`optimized/adaptive/criteria.py`). Thresholds come from examples that
no stage has learnt from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import UsageError
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.criteria import NEVER, Floats

_GRID = {1: 41, 2: 21, 3: 9}
"""Thresholds tried for each stage but the last, by how many such stages there are."""


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What one stage said of the held-out examples: answers, sureness, and its seconds per request.

    `losses` is what each answer is expected to lose against the last stage's, 0..1
    (`optimized/adaptive/expected_loss.py`).
    """

    answers: tuple[str, ...]
    sureness: Floats
    losses: Floats
    seconds: float


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """One choice of thresholds: the primary metric, seconds per request, and the share each stage answers.

    `loss` is the points (hundredths) that it is expected to lose against the full model, `loss_error` the
    standard error of that.
    """

    thresholds: tuple[float, ...]
    quality: float
    seconds: float
    shares: tuple[float, ...]
    loss: float
    loss_error: float

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "thresholds": [round(each, 6) for each in self.thresholds],
            "quality": round(self.quality, 6),
            "seconds_per_request": round(self.seconds, 9),
            "shares": [round(each, 6) for each in self.shares],
            "expected_loss": round(self.loss, 6),
            "expected_loss_error": round(self.loss_error, 6),
        }


def check_rule(
    thresholds: Sequence[float | str], stages: int, loss: float, where: str, criterion: str = "confidence"
) -> None:
    """Refuse thresholds that are none, or not one for each stage but the last, and a loss that is none.

    For patience all are the same whole number: how many classifiers in a row have to agree.
    """
    if thresholds and len(thresholds) != stages - 1:
        needed = f"{stages - 1} for {stages} stages, not {len(thresholds)}"
        raise UsageError(f"every stage but the last has a threshold: {needed}.", where=where)
    if criterion == "patience" and not _is_patience(thresholds, stages):
        raise UsageError(
            f"{list(thresholds)} is no patience.",
            where=where,
            remedy=f"One whole number from 1 to {stages - 1}, the exits, or never.",
        )
    for each in thresholds if criterion != "patience" else ():
        if each != "never" and not (isinstance(each, float | int) and 0 <= each <= 1):
            raise UsageError(f"{each!r} is no threshold: 0 to 1, or never.", where=where)
    if not 0 <= loss <= 100:  # noqa: PLR2004 -- hundredths
        raise UsageError(f"a loss of {loss} points is none: 0 to 100.", where=where)


def as_numbers(thresholds: Sequence[float | str]) -> list[float]:
    """Return thresholds as numbers, `never` among them."""
    return [NEVER if each == "never" else float(each) for each in thresholds]


def curve(
    task: Task,
    examples: Sequence[Example],
    stages: Sequence[StageOutcome],
    criterion: str = "confidence",
    *,
    left_out: bool = False,
) -> list[ThresholdChoice]:
    """Return what each choice of thresholds gives on these examples, cheapest first.

    The first stage is asked always, each other one if the stages before were all unsure; with `left_out`, a
    stage that is never sure is not asked. UsageError for more than four stages, but for patience, which has
    one number for all of them.
    """
    choices = _patience(len(stages) - 1) if criterion == "patience" else _grid(stages[:-1])
    points = [_point(task, examples, stages, thresholds, left_out=left_out) for thresholds in choices]
    return sorted(points, key=lambda point: (point.seconds, -point.quality))


def choose(points: Sequence[ThresholdChoice], full: float, loss: float) -> ThresholdChoice:
    """Return the cheapest point that loses at most `loss` points (hundredths) against the quality `full`.

    Labels have to say so, and the full model's probabilities with one standard error added: labels alone
    are too few, and let the cheapest of many points be the luckiest. Where no point is good enough by both,
    the one that loses least by the probabilities is returned.
    """
    enough = [point for point in points if within(point, full, loss)]
    if not enough:
        return min(points, key=lambda point: (point.loss, -point.quality, point.seconds))
    return min(enough, key=lambda point: (point.seconds, -point.quality))


def within(point: ThresholdChoice, full: float, loss: float) -> bool:
    """Say whether a point loses at most `loss` points, by labels and by the full model's probabilities."""
    by_labels = 100 * (full - point.quality)
    return max(by_labels, point.loss + point.loss_error) <= loss + 1e-9


def front(points: Sequence[ThresholdChoice]) -> list[ThresholdChoice]:
    """Return the points that no cheaper one matches, in quality and in expected loss, cheapest first."""
    kept: list[ThresholdChoice] = []
    for point in sorted(points, key=lambda each: (each.seconds, -each.quality, each.loss)):
        if not any(each.quality >= point.quality and each.loss <= point.loss for each in kept):
            kept.append(point)
    return kept


def stages_of(sure: Sequence[Floats], thresholds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return the stage, from 0, that answers each example: the first that is sure enough, or the last."""
    last = len(thresholds)
    found = np.full(len(sure[0]) if sure else 0, last, dtype=np.int64)
    for stage in reversed(range(last)):
        found[sure[stage] >= thresholds[stage]] = stage
    return found


def _grid(passing: Sequence[StageOutcome]) -> Iterator[tuple[float, ...]]:
    """Return every choice of a quantile of each stage's own sureness, or never."""
    if len(passing) not in _GRID:
        raise UsageError(f"a cascade has two to four stages, not {len(passing) + 1}.")
    shares = np.linspace(0, 1, _GRID[len(passing)])
    grids = [[*sorted({float(np.quantile(stage.sureness, at)) for at in shares}), NEVER] for stage in passing]
    return product(*grids)


def _patience(exits: int) -> Iterator[tuple[float, ...]]:
    """Return every patience that can run out before the last stage, and never."""
    return ((float(each),) * exits for each in (*range(1, exits + 1), NEVER))


def _is_patience(thresholds: Sequence[float | str], stages: int) -> bool:
    wanted = (*range(1, stages), "never")
    return len(set(thresholds)) <= 1 and all(each in wanted for each in thresholds)


def _point(
    task: Task,
    examples: Sequence[Example],
    stages: Sequence[StageOutcome],
    thresholds: tuple[float, ...],
    *,
    left_out: bool,
) -> ThresholdChoice:
    who = stages_of([stage.sureness for stage in stages], thresholds)
    answers = [stages[stage].answers[row] for row, stage in enumerate(who)]
    reached = [
        0.0 if left_out and at >= NEVER else float((who >= stage).mean())
        for stage, at in enumerate((*thresholds, 0.0))
    ]
    losses = 100 * np.array([stages[stage].losses[row] for row, stage in enumerate(who)])
    return ThresholdChoice(
        thresholds=thresholds,
        quality=task.scoring(examples, answers)[task.scoring.metrics[0]],
        seconds=sum(share * stage.seconds for share, stage in zip(reached, stages, strict=True)),
        shares=tuple(float((who == stage).mean()) for stage in range(len(stages))),
        loss=float(losses.mean()),
        loss_error=standard_error(losses),
    )


def standard_error(values: Floats) -> float:
    """Return the standard error of a mean, 0 of fewer than two values."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
