"""The schedule of kept tokens: all of the family are asked, and the cheapest that is good enough stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.systems.interface import PreparationSources
from harness.workload.tasks.example import Example
from optimized.adaptive.calibration import held_out_of
from optimized.adaptive.confidence import ThresholdChoice, choose, front, standard_error, within
from optimized.adaptive.expected_loss import CalibratedModel, judge_of
from optimized.adaptive.token_dropping.budget import ALL, FAMILY
from optimized.adaptive.token_dropping.system import open_tokens
from optimized.graphs.candidates import CandidateTimer


@dataclass(frozen=True, slots=True)
class _Kept:
    """One share of tokens kept: what it gives and takes, and the tokens that a layer saw of a request."""

    point: ThresholdChoice
    tokens: float

    @property
    def quality(self) -> float:
        return self.point.quality

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said = {"keep": self.point.thresholds[0], **self.point.facts()}
        del said["thresholds"], said["shares"]
        return {**said, "tokens_per_request": round(self.tokens, 6)}


def schedule_of(
    folder: Path,
    after: Sequence[int],
    loss: float,
    before: Mapping[str, float] | None,
    sources: PreparationSources,
    bench: CandidateTimer,
) -> dict[str, Any]:
    """Return the schedule that loses at most `loss` points on held-out examples, and what it comes from.

    By labels the loss counts from `before`, the metrics of the model before it was trained with length
    drop-out, or where it was not, from its own with all tokens; by probabilities from its own. Where none is
    good enough by both, the one that loses least by probabilities is taken: all tokens. `reached` says so.
    """
    held_out = held_out_of(sources, bench.name)
    bench.workshop.progress(f"asking {len(held_out)} held-out examples with fewer and fewer tokens")
    found, judge = _family(folder, after, held_out, bench)
    full = before[bench.task.scoring.metrics[0]] if before else found[0].quality
    chosen = choose([each.point for each in found], full, loss)
    every = {each.point: each.facts() for each in found}
    return {
        "kept_percent": round(ALL * chosen.thresholds[0]),
        "calibration": {
            "examples": len(held_out),
            "split": "train, held out",
            "data_sha256": sources.training_sha256,
            "metric": bench.task.scoring.metrics[0],
            "loss_allowed": loss,
            "reached": within(chosen, full, loss),
            "temperature": round(judge.temperature, 6),
            "full": round(full, 6),
            "full_seconds": found[0].point.seconds,
            "chosen": every[chosen],
            "curve": [every[point] for point in front(list(every))],
            "family": list(every.values()),
        },
    }


def _family(
    folder: Path, after: Sequence[int], held_out: Sequence[Example], bench: CandidateTimer
) -> tuple[list[_Kept], CalibratedModel]:
    """Return what every schedule of the family gives and takes, and as the judge the one that keeps all."""
    system = open_tokens(folder, bench.task, after, ALL, bench.workshop.placement, bench.settings)
    try:
        ways = {str(keep): system.keeping(keep) for keep in FAMILY}
        seconds = bench.workshop.measure(dict(ways), bench.trial)
        requests = system.encode(held_out)
        said = {name: way.predict(requests) for name, way in ways.items()}
    finally:
        system.close()
    judge = judge_of(bench.task, held_out, said[str(ALL)])
    made = []
    for name, each in said.items():
        answers = bench.task.decide(each.logits, each.offsets)
        quality = bench.task.scoring(held_out, answers)[bench.task.scoring.metrics[0]]
        losses = 100 * judge.loss(each)
        lost = (float(losses.mean()), standard_error(losses))
        point = ThresholdChoice((int(name) / ALL,), quality, seconds[name], (), *lost)
        made.append(_Kept(point, float(each.costs["tokens"].mean())))
    return made, judge
