"""The schedule of kept tokens: all of the family are asked, and the cheapest that is good enough stays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.system import Sources
from optimized.calibration import held_out_of
from optimized.candidates import Bench
from optimized.confidence import Point, choose, front
from optimized.token_budget import ALL, FAMILY
from optimized.token_system import open_tokens


def schedule_of(
    folder: Path,
    after: Sequence[int],
    loss: float,
    before: Mapping[str, float] | None,
    sources: Sources,
    bench: Bench,
) -> dict[str, Any]:
    """Return the schedule that loses at most `loss` points on held-out examples, and what it comes from.

    The loss counts from `before`, the metrics of the model before it was trained with length drop-out, or
    where it was not, from its own with all tokens. Where none is good enough, the best one is taken, which
    `reached` says.
    """
    held_out = held_out_of(sources, bench.name)
    metric = bench.task.scoring.metrics[0]
    bench.workshop.progress(f"asking {len(held_out)} held-out examples with fewer and fewer tokens")
    system = open_tokens(folder, bench.task, after, ALL, bench.workshop.placement, bench.settings)
    try:
        ways = {str(keep): system.keeping(keep) for keep in FAMILY}
        seconds = bench.workshop.measure(dict(ways), bench.trial)
        requests = system.encode(held_out)
        points: list[Point] = []
        tokens: dict[float, float] = {}
        for name, way in ways.items():
            found = way.predict(requests)
            answers = bench.task.decide(found.logits, found.offsets)
            quality = bench.task.scoring(held_out, answers)[metric]
            points.append(Point((int(name) / ALL,), quality, seconds[name], ()))
            tokens[int(name) / ALL] = float(found.costs["tokens"].mean())
    finally:
        system.close()
    full = before[metric] if before else points[0].quality
    reached = any(100 * (full - point.quality) <= loss + 1e-9 for point in points)
    chosen = choose(
        points, full if reached else max(point.quality for point in points), loss if reached else 0.0
    )

    def facts(point: Point) -> dict[str, Any]:
        keep = point.thresholds[0]
        said = {key: value for key, value in point.facts().items() if key not in ("thresholds", "shares")}
        return {"keep": keep, **said, "tokens_per_request": round(tokens[keep], 6)}

    return {
        "kept_percent": round(ALL * chosen.thresholds[0]),
        "calibration": {
            "examples": len(held_out),
            "split": "train, held out",
            "data_sha256": sources.training_sha256,
            "metric": metric,
            "loss_allowed": loss,
            "reached": reached,
            "full": round(full, 6),
            "full_seconds": points[0].seconds,
            "chosen": facts(chosen),
            "curve": [facts(point) for point in front(points)],
            "family": [facts(point) for point in points],
        },
    }
