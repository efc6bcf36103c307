"""The stages in the requested precision, and the calibration of their thresholds."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import link
from baselines.engines.onnx.runtime import copy_text_side
from harness.systems.interface import Artifact, Predictions, PreparationSources
from harness.workload.tasks.example import Example
from optimized.adaptive.calibration import StageAnswers, calibrate, held_out_examples
from optimized.adaptive.confidence import ThresholdChoice
from optimized.adaptive.criteria import NEVER
from optimized.adaptive.early_exit.staged_system import StagedSystem, open_stages, stage_files
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.transforms import needs_seven_bits, quantise


def write_stages(plain: Artifact, folder: Path, weights: str, timer: CandidateTimer) -> dict[str, Any]:
    """Write the stages of `plain` into `folder`, unchanged or quantised to int8; return manifest fields.

    CheckpointError if the answers of all int8 stages together are too far from those in fp32.
    """
    copy_text_side(plain.folder, folder)
    depths = plain.manifest["depths"]
    pairs = list(zip(stage_files(plain.folder, depths), stage_files(folder, depths), strict=True))
    if weights == "fp32":
        for source, target in pairs:
            link(source, target)
        return {"weights": "float32", "agreement": plain.manifest["agreement"]}
    timer.context.progress("quantising every stage to int8")
    for source, target in pairs:
        quantise(source, target, reduce_range=needs_seven_bits())
    facts = {"weights": "int8, per channel", "reduce_range": needs_seven_bits()}
    return {**facts, "agreement": _closeness(plain.folder, folder, depths, timer)}


def calibrate_stages(
    folder: Path,
    depths: Sequence[int],
    loss: float,
    criterion: str,
    sources: PreparationSources,
    timer: CandidateTimer,
) -> dict[str, Any]:
    """Return thresholds that lose at most `loss` points on held-out examples, and their calibration."""
    held_out = held_out_examples(sources, timer.name)
    timer.context.progress(f"running every exit on {len(held_out)} held-out examples")
    system = _open(folder, depths, timer)
    try:
        predictions, seconds = _run_stages(system, held_out, timer)
    finally:
        system.close()

    def mean_layers(choice: ThresholdChoice) -> dict[str, Any]:
        mean = sum(share * depth for share, depth in zip(choice.shares, depths, strict=True))
        return {"layers_per_request": round(mean, 6)}

    answers = StageAnswers(
        timer.task, held_out, sources.training_sha256, predictions, seconds, full_seconds=sum(seconds)
    )
    facts = calibrate(answers, loss, criterion, mean_layers)
    return {**facts, "calibration": {"depths": list(depths), **facts["calibration"]}}


def _closeness(
    plain: Path, folder: Path, depths: Sequence[int], timer: CandidateTimer
) -> dict[str, Any] | str:
    if not timer.trial:
        return "unavailable, because there were no trial examples"
    exact, quantised = _open(plain, depths, timer), _open(folder, depths, timer)
    try:
        return timer.require_closeness(exact, quantised)
    finally:
        exact.close()
        quantised.close()


def _open(folder: Path, depths: Sequence[int], timer: CandidateTimer) -> StagedSystem:
    """Open the stages with every exit but the last closed."""
    closed = [NEVER] * (len(depths) - 1)
    return open_stages(folder, timer.task, depths, closed, timer.context.placement, timer.settings)


def _run_stages(
    system: StagedSystem, held_out: Sequence[Example], timer: CandidateTimer
) -> tuple[list[Predictions], list[float]]:
    """Return the predictions of each stage, and its seconds per request in addition to the stage before."""
    systems = {str(depth): system.answering_at(number) for number, depth in enumerate(system.depths)}
    seconds = timer.context.measure(dict(systems), timer.trial)
    cumulative = [0.0, *(seconds[depth] for depth in systems)]
    # noise can make a deeper stage look faster than the one before
    own = [max(later - earlier, 0.0) for earlier, later in pairwise(cumulative)]
    return system.predict_all_stages(system.encode(held_out)), own
