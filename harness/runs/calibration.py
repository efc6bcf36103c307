"""Calibrates the threshold of a multi-label task: PyTorch answers the held-out part of the training split."""

from dataclasses import replace

import numpy as np

from harness.catalog import UNPADDED, Catalog, load_held_out
from harness.common.errors import DataError, UsageError
from harness.systems.interface import PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.multi_label import MultiLabelTask, ThresholdCalibration, calibrate_threshold

_CHUNK = 64
"""Examples answered at once, to bound memory."""


def calibrate(
    task: Task,
    catalog: Catalog,
    sources: PreparationSources,
    settings: Settings,
    context: PreparationContext,
) -> ThresholdCalibration:
    """Return the threshold with the best primary metric, and what it was chosen from.

    The part of the training split is the one that `bench train` keeps to select an epoch; the reported split
    is never used. UsageError without a training split, DataError if it is the reported one.
    """
    if not isinstance(task, MultiLabelTask):
        raise UsageError(f"{task.name} has one label per example, and no threshold.", where="--threshold")
    training = sources.training()
    if not training:
        raise UsageError(
            "the threshold is calibrated on training examples, and there are none.",
            where="--threshold",
            remedy="Use data with a train split, or give the threshold as a number.",
        )
    if sources.training_sha256 == sources.reported_sha256:
        raise DataError(
            "the training split is the one that is reported, so the threshold must not be chosen on it.",
            where="--threshold",
            remedy="Report another split, or give the threshold as a number.",
        )
    held_out = load_held_out()(training)
    context.progress(f"calibrating the threshold on {len(held_out)} held-out examples")
    variant = catalog.variant(UNPADDED)
    artifact = variant.prepare(task, sources, settings, context)
    system = variant.load(task, artifact, replace(context.placement, instances=1), settings)
    try:
        chunks = [held_out[start : start + _CHUNK] for start in range(0, len(held_out), _CHUNK)]
        logits = [system.predict(system.encode(chunk)).logits for chunk in chunks]
    finally:
        system.close()
    return calibrate_threshold(task, held_out, np.concatenate(logits))
