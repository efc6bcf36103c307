"""Stages at the precision that was asked for, and the thresholds at which they stop."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import link
from baselines.engines.onnx.runtime import copy_text_side
from harness.systems.interface import Artifact, Predictions, PreparationSources
from harness.workload.tasks.example import Example
from optimized.adaptive.calibration import StageAnswers, calibrated, held_out_of
from optimized.adaptive.confidence import ThresholdChoice
from optimized.adaptive.criteria import NEVER
from optimized.adaptive.early_exit.staged_system import StagedSystem, open_stages, stage_files
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.closeness import require_closeness
from optimized.graphs.transforms import needs_seven_bits, quantise


def rounded(plain: Artifact, folder: Path, weights: str, bench: CandidateTimer) -> dict[str, Any]:
    """Put the stages of `plain` into `folder`, as they are or with int8 products; return what was done.

    CheckpointError where int8 stages are too far from those in fp32, all of them asked.
    """
    copy_text_side(plain.folder, folder)
    depths = plain.manifest["depths"]
    pairs = list(zip(stage_files(plain.folder, depths), stage_files(folder, depths), strict=True))
    if weights == "fp32":
        for source, target in pairs:
            link(source, target)
        return {"weights": "float32", "agreement": plain.manifest["agreement"]}
    bench.workshop.progress("quantising every stage to int8")
    for source, target in pairs:
        quantise(source, target, reduce_range=needs_seven_bits())
    facts = {"weights": "int8, per channel", "reduce_range": needs_seven_bits()}
    return {**facts, "agreement": _closeness(plain.folder, folder, depths, bench)}


def thresholds_of(
    folder: Path,
    depths: Sequence[int],
    loss: float,
    criterion: str,
    sources: PreparationSources,
    bench: CandidateTimer,
) -> dict[str, Any]:
    """Return thresholds that lose at most `loss` points on held-out examples, and where they come from."""
    held_out = held_out_of(sources, bench.name)
    bench.workshop.progress(f"asking {len(held_out)} held-out examples of every exit")
    system = _open(folder, depths, bench)
    try:
        found, seconds = _asked(system, held_out, bench)
    finally:
        system.close()

    def layers(point: ThresholdChoice) -> dict[str, Any]:
        mean = sum(share * depth for share, depth in zip(point.shares, depths, strict=True))
        return {"layers_per_request": round(mean, 6)}

    said = (bench.task, held_out, sources.training_sha256, found, seconds)
    made = calibrated(StageAnswers(*said, full_seconds=sum(seconds)), loss, criterion, layers)
    return {**made, "calibration": {"depths": list(depths), **made["calibration"]}}


def _closeness(
    plain: Path, folder: Path, depths: Sequence[int], bench: CandidateTimer
) -> dict[str, Any] | str:
    if not bench.trial:
        return "unavailable, because there were no trial examples"
    exact, near = _open(plain, depths, bench), _open(folder, depths, bench)
    try:
        return require_closeness(bench.task, exact, near, bench.trial, bench.name)
    finally:
        exact.close()
        near.close()


def _open(folder: Path, depths: Sequence[int], bench: CandidateTimer) -> StagedSystem:
    """Open stages of which the last one answers."""
    never = [NEVER] * (len(depths) - 1)
    return open_stages(folder, bench.task, depths, never, bench.workshop.placement, bench.settings)


def _asked(
    system: StagedSystem, held_out: Sequence[Example], bench: CandidateTimer
) -> tuple[list[Predictions], list[float]]:
    """Return what each stage says of examples, and its seconds per request beyond the stage before."""
    ways = {str(depth): system.stopping_at(number) for number, depth in enumerate(system.depths)}
    seconds = bench.workshop.measure(dict(ways), bench.trial)
    until = [0.0, *(seconds[name] for name in ways)]
    # what is measured has noise; a stage takes no less than nothing
    own = [max(later - earlier, 0.0) for earlier, later in pairwise(until)]
    return system.every(system.encode(held_out)), own
