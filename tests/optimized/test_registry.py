"""What holds for optimised variants of every kind."""

from pathlib import Path

import numpy as np
import pytest
import tiny

from baselines.engines.pytorch import VARIANTS
from optimized.registry import variants

DYNAMIC = VARIANTS[1]
TOLERANCES = {"onnx-fused": 1e-4, "pytorch-sorted-bf16": 0.1, "onnx-int8": 0.5, "native-int8": 0.5}
"""How far logits may be from PyTorch's."""


@pytest.mark.parametrize("name", TOLERANCES)
def test_a_task_with_any_number_of_labels_is_answered(tmp_path: Path, name: str) -> None:
    """Logits are those of PyTorch up to rounding, in the task's order; each label is decided by itself."""
    variant = next(variant for variant in variants() if variant.name == name)
    if reason := variant.unavailable():
        pytest.skip(reason)
    folder = tiny.multi_label_checkpoint(tmp_path / "several", ("winter", "people", "lake"), spread=0.2)
    task = tiny.multi_label_task()
    sources = tiny.sources(folder, task=task)
    context = tiny.preparation_context(tmp_path / "cache")
    logits = []
    for each in (DYNAMIC, variant):
        artifact = each.prepare(task, sources, tiny.SHORT, context)
        system = each.load(task, artifact, tiny.CPU, tiny.SHORT)
        predictions = system.predict(system.encode(tiny.examples(10, longest=20)))
        logits.append(predictions.logits)
        system.close()
    np.testing.assert_allclose(logits[1], logits[0], atol=TOLERANCES[name])
    clear = np.abs(logits[0]) > TOLERANCES[name]
    signs = np.array([list(map(int, answer)) for answer in task.decide(logits[1], np.arange(11))])
    assert (signs == (logits[0] > 0))[clear].all()
    assert len(np.unique(signs, axis=0)) > 1, "answers that do not vary show nothing"
