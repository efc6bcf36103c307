"""How sure a system is of an answer, and the thresholds below which the next one is asked.

Sureness is the probability of the answer that is given (the largest softmax value): the plainest of the rules
that early-exit papers compare, and one that any classifier offers (Xin et al. 2020, "DeeBERT"; Schwartz et
al. 2020, "The Right Tool for the Job"). Thresholds come from examples that no stage has learnt from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError
from harness.system import Example, Logits, Offsets
from harness.tasks.base import Task

Floats = npt.NDArray[np.float64]

NEVER = 2.0
"""A threshold that no probability reaches: every request is passed on to the end."""

_GRID = {1: 41, 2: 21, 3: 9}
"""Thresholds tried for each stage but the last, by how many such stages there are."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage said of the held-out examples: answers, sureness, and its seconds per request."""

    answers: tuple[str, ...]
    sureness: Floats
    seconds: float


@dataclass(frozen=True, slots=True)
class Point:
    """One choice of thresholds: the primary metric, seconds per request, and the share each stage answers."""

    thresholds: tuple[float, ...]
    quality: float
    seconds: float
    shares: tuple[float, ...]

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "thresholds": [round(each, 6) for each in self.thresholds],
            "quality": round(self.quality, 6),
            "seconds_per_request": round(self.seconds, 9),
            "shares": [round(each, 6) for each in self.shares],
        }


def check_rule(thresholds: Sequence[float | str], stages: int, loss: float, where: str) -> None:
    """Refuse thresholds that are none, or not one for each stage but the last, and a loss that is none."""
    if thresholds and len(thresholds) != stages - 1:
        needed = f"{stages - 1} for {stages} stages, not {len(thresholds)}"
        raise UsageError(f"every stage but the last has a threshold: {needed}.", where=where)
    for each in thresholds:
        if each != "never" and not (isinstance(each, float | int) and 0 <= each <= 1):
            raise UsageError(f"{each!r} is no threshold: 0 to 1, or never.", where=where)
    if not 0 <= loss <= 100:  # noqa: PLR2004 -- hundredths
        raise UsageError(f"a loss of {loss} points is none: 0 to 100.", where=where)


def as_numbers(thresholds: Sequence[float | str]) -> list[float]:
    """Return thresholds as numbers, `never` among them."""
    return [NEVER if each == "never" else float(each) for each in thresholds]


def sureness(task: Task, logits: Logits, offsets: Offsets) -> Floats:
    """Return for each request the probability of its answer, float64 [requests].

    For a choice it is a probability among the request's sequences; of several sequences with labels of their
    own it is that of the least sure one. A request without sequences is sure.
    """
    if task.head == "choice":
        parts = [logits[low:high, 0] for low, high in pairwise(offsets)]
        return np.array([_softmax(part).max(initial=0.0) if len(part) else 1.0 for part in parts])
    rows = _softmax(logits).max(axis=1) if len(logits) else np.zeros(0)
    return np.array([rows[low:high].min(initial=1.0) for low, high in pairwise(offsets)])


def curve(task: Task, examples: Sequence[Example], stages: Sequence[Stage]) -> list[Point]:
    """Return what each choice of thresholds gives on these examples, cheapest first.

    The first stage is asked always, each other one if the stages before were all unsure. UsageError for more
    than four stages.
    """
    passing = stages[:-1]
    if len(passing) not in _GRID:
        raise UsageError(f"a cascade has two to four stages, not {len(stages)}.")
    shares = np.linspace(0, 1, _GRID[len(passing)])
    grids = [[*sorted({float(np.quantile(stage.sureness, at)) for at in shares}), NEVER] for stage in passing]
    points = [_point(task, examples, stages, thresholds) for thresholds in product(*grids)]
    return sorted(points, key=lambda point: (point.seconds, -point.quality))


def choose(points: Sequence[Point], full: float, loss: float) -> Point:
    """Return the cheapest point that loses at most `loss` points (hundredths) against the quality `full`."""
    enough = [point for point in points if 100 * (full - point.quality) <= loss + 1e-9]
    # passing everything on to the last stage loses nothing, so there always is one
    return min(enough, key=lambda point: (point.seconds, -point.quality))


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no cheaper point matches in quality, cheapest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda each: (each.seconds, -each.quality)):
        if not kept or point.quality > kept[-1].quality:
            kept.append(point)
    return kept


def stages_of(sure: Sequence[Floats], thresholds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return the stage, from 0, that answers each example: the first that is sure enough, or the last."""
    last = len(thresholds)
    found = np.full(len(sure[0]) if sure else 0, last, dtype=np.int64)
    for stage in reversed(range(last)):
        found[sure[stage] >= thresholds[stage]] = stage
    return found


def _point(
    task: Task, examples: Sequence[Example], stages: Sequence[Stage], thresholds: tuple[float, ...]
) -> Point:
    who = stages_of([stage.sureness for stage in stages], thresholds)
    answers = [stages[stage].answers[row] for row, stage in enumerate(who)]
    reached = [float((who >= stage).mean()) for stage in range(len(stages))]
    return Point(
        thresholds=thresholds,
        quality=task.scoring(examples, answers)[task.scoring.metrics[0]],
        seconds=sum(share * stage.seconds for share, stage in zip(reached, stages, strict=True)),
        shares=tuple(float((who == stage).mean()) for stage in range(len(stages))),
    )


def _softmax(values: Any) -> Floats:  # noqa: ANN401 -- an array
    powers: Floats = np.exp(np.asarray(values, dtype=np.float64) - np.max(values, axis=-1, keepdims=True))
    made: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return made
