"""Thresholds on confidence scores: the quality and cost of every choice, and the cheapest allowed one.

`optimized/adaptive/criteria.py` has the scores. No stage was trained on the examples that choose thresholds.
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
"""The number of quantiles tried as threshold of each stage, by the number of stages before the last."""


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """One stage on the held-out examples: answers, confidence scores, and seconds per request.

    `losses` has the expected loss of each answer against the last stage's, 0..1
    (`optimized/adaptive/expected_loss.py`).
    """

    answers: tuple[str, ...]
    scores: Floats
    losses: Floats
    seconds: float


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """One choice of thresholds: the primary metric, seconds per request, each stage's share of the answers.

    `loss` is its expected loss against the full model in points (hundredths), with standard error
    `loss_error`.
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
            "thresholds": [round(threshold, 6) for threshold in self.thresholds],
            "quality": round(self.quality, 6),
            "seconds_per_request": round(self.seconds, 9),
            "shares": [round(share, 6) for share in self.shares],
            "expected_loss": round(self.loss, 6),
            "expected_loss_error": round(self.loss_error, 6),
        }


def check_thresholds(
    thresholds: Sequence[float | str], stages: int, loss: float, where: str, criterion: str = "confidence"
) -> None:
    """Raise UsageError unless there is a valid threshold for each stage but the last, and a valid loss.

    The thresholds of patience are all the same integer: how many classifiers in a row have to agree.
    """
    if thresholds and len(thresholds) != stages - 1:
        raise UsageError(
            f"expected a threshold for every stage but the last, {stages - 1} for {stages} stages; "
            f"got {len(thresholds)}.",
            where=where,
        )
    if criterion == "patience" and not _is_patience(thresholds, stages):
        raise UsageError(
            f"expected a patience from 1 to {stages - 1}, the number of exits, or never; "
            f"got {list(thresholds)}.",
            where=where,
            remedy="Give one integer, such as thresholds: 2.",
        )
    for threshold in thresholds if criterion != "patience" else ():
        if threshold != "never" and not (isinstance(threshold, float | int) and 0 <= threshold <= 1):
            raise UsageError(f"expected a threshold from 0 to 1, or never; got {threshold!r}.", where=where)
    check_loss(loss, where)


def check_loss(loss: float, where: str) -> None:
    """Raise UsageError unless the allowed loss is from 0 to 100 points."""
    if not 0 <= loss <= 100:  # noqa: PLR2004 -- points are hundredths
        raise UsageError(f"loss must be from 0 to 100 points, got {loss}.", where=where)


def as_numbers(thresholds: Sequence[float | str]) -> list[float]:
    """Return thresholds as numbers, `never` as NEVER."""
    return [NEVER if threshold == "never" else float(threshold) for threshold in thresholds]


def curve(
    task: Task,
    examples: Sequence[Example],
    stages: Sequence[StageOutcome],
    criterion: str = "confidence",
    *,
    skip_closed: bool = False,
) -> list[ThresholdChoice]:
    """Return the outcome of each choice of thresholds on these examples, cheapest first.

    The first stage runs for all examples, each later one for those that no earlier stage answered. With
    `skip_closed`, a stage with the threshold `never` does not run. UsageError for more than four stages,
    except with patience, which has one threshold for all stages.
    """
    candidates = _patience_choices(len(stages) - 1) if criterion == "patience" else _grid(stages[:-1])
    choices = [
        _evaluate(task, examples, stages, thresholds, skip_closed=skip_closed) for thresholds in candidates
    ]
    return sorted(choices, key=lambda choice: (choice.seconds, -choice.quality))


def choose(choices: Sequence[ThresholdChoice], full: float, loss: float) -> ThresholdChoice:
    """Return the cheapest choice that loses at most `loss` points (hundredths) against the quality `full`.

    The loss must be within the limit by labels, and by the full model's probabilities plus one standard
    error. Labels alone are too few: the cheapest of many choices would be the luckiest. If no choice is
    within the limit, the one with the smallest expected loss is returned.
    """
    allowed = [choice for choice in choices if is_within(choice, full, loss)]
    if not allowed:
        return min(choices, key=lambda choice: (choice.loss, -choice.quality, choice.seconds))
    return min(allowed, key=lambda choice: (choice.seconds, -choice.quality))


def is_within(choice: ThresholdChoice, full: float, loss: float) -> bool:
    """Return whether a choice loses at most `loss` points, by labels and by expected loss."""
    by_labels = 100 * (full - choice.quality)
    return max(by_labels, choice.loss + choice.loss_error) <= loss + 1e-9


def pareto_front(choices: Sequence[ThresholdChoice]) -> list[ThresholdChoice]:
    """Return the choices that no cheaper one equals in quality and expected loss, cheapest first."""
    front: list[ThresholdChoice] = []
    for choice in sorted(choices, key=lambda choice: (choice.seconds, -choice.quality, choice.loss)):
        if not any(kept.quality >= choice.quality and kept.loss <= choice.loss for kept in front):
            front.append(choice)
    return front


def answering_stages(scores: Sequence[Floats], thresholds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return the stage, from 0, that answers each example: the first to reach its threshold, or the last."""
    last = len(thresholds)
    stages = np.full(len(scores[0]) if scores else 0, last, dtype=np.int64)
    for stage in reversed(range(last)):
        stages[scores[stage] >= thresholds[stage]] = stage
    return stages


def _grid(stages: Sequence[StageOutcome]) -> Iterator[tuple[float, ...]]:
    """Return all combinations of quantiles of each stage's own scores, and `never`."""
    if len(stages) not in _GRID:
        raise UsageError(f"a cascade has two to four stages, got {len(stages) + 1}.")
    levels = np.linspace(0, 1, _GRID[len(stages)])
    grids = [
        [*sorted({float(np.quantile(stage.scores, level)) for level in levels}), NEVER] for stage in stages
    ]
    return product(*grids)


def _patience_choices(exits: int) -> Iterator[tuple[float, ...]]:
    """Return every patience that can be reached before the last stage, and `never`."""
    return ((float(patience),) * exits for patience in (*range(1, exits + 1), NEVER))


def _is_patience(thresholds: Sequence[float | str], stages: int) -> bool:
    allowed = (*range(1, stages), "never")
    return len(set(thresholds)) <= 1 and all(threshold in allowed for threshold in thresholds)


def _evaluate(
    task: Task,
    examples: Sequence[Example],
    stages: Sequence[StageOutcome],
    thresholds: tuple[float, ...],
    *,
    skip_closed: bool,
) -> ThresholdChoice:
    answering = answering_stages([stage.scores for stage in stages], thresholds)
    answers = [stages[number].answers[row] for row, number in enumerate(answering)]
    run_shares = [
        0.0 if skip_closed and threshold >= NEVER else float((answering >= number).mean())
        for number, threshold in enumerate((*thresholds, 0.0))
    ]
    losses = 100 * np.array([stages[number].losses[row] for row, number in enumerate(answering)])
    return ThresholdChoice(
        thresholds=thresholds,
        quality=task.scoring(examples, answers)[task.scoring.metrics[0]],
        seconds=sum(share * stage.seconds for share, stage in zip(run_shares, stages, strict=True)),
        shares=tuple(float((answering == number).mean()) for number in range(len(stages))),
        loss=float(losses.mean()),
        loss_error=standard_error(losses),
    )


def standard_error(values: Floats) -> float:
    """Return the standard error of the mean; 0 for fewer than two values."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
