"""PyTorch in 16 bits: bfloat16 where the CPU has it, float16 on CUDA only."""

from pathlib import Path

import numpy as np
import pytest
import tiny

from baselines.engines import pytorch
from baselines.engines.pytorch import HALF_PRECISION, VARIANTS
from harness.common.errors import DeviceError
from harness.systems.interface import Placement
from harness.workload.tasks import get_task
from harness.workload.tasks.superglue.boolq import BOOLQ

BF16, FP16 = HALF_PRECISION
DYNAMIC = VARIANTS[1]


@pytest.mark.parametrize("name", ["boolq", "wic", "copa"])
def test_bfloat16_is_close_to_float32_under_every_head(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 bits of mantissa: rounding shows and stays small; a CPU without bfloat16 is only slower."""
    monkeypatch.setattr(pytorch, "cpu_has_bf16", lambda: True)
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / "model", task)
    answers = {}
    for variant in (DYNAMIC, BF16):
        system = tiny.opened(variant, task, folder, tmp_path / "cache")
        answers[variant.name] = system.predict(system.encode(tiny.task_examples(task))).logits
        description = system.describe()
        system.close()
    assert (description["dtype"], description["padding"]) == ("bfloat16", "to the longest of a call")
    exact, rounded = answers["pytorch-dynamic"], answers["pytorch-bf16"]
    assert rounded.dtype == np.float32
    # 2 ** -8 is 0.4 % of a value, and a few layers accumulate it
    assert 0 < np.abs(rounded - exact).max() < 0.1 * np.abs(exact).max()


def test_each_precision_has_its_own_key(boolq_folder: Path, tmp_path: Path) -> None:
    """All use the checkpoint itself as the artifact; the keys distinguish them."""
    sources, shop = tiny.sources(boolq_folder), tiny.preparation_context(tmp_path)
    artifacts = [variant.prepare(BOOLQ, sources, tiny.SHORT, shop) for variant in (DYNAMIC, BF16, FP16)]
    assert {artifact.folder for artifact in artifacts} == {boolq_folder}
    assert len({artifact.key for artifact in artifacts}) == 3


@pytest.mark.parametrize(("has_bf16", "unavailable"), [(True, False), (False, True)])
def test_bfloat16_is_unavailable_where_the_cpu_has_none(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, unavailable: bool
) -> None:
    """The reason names the missing feature; float16 needs no CPU feature, and a GPU supports bfloat16."""
    monkeypatch.setattr(pytorch, "cpu_has_bf16", lambda: has_bf16)
    monkeypatch.setattr(pytorch, "sees_gpu", lambda: False)
    assert bool(BF16.unavailable()) is unavailable
    assert "avx512_bf16" in (BF16.unavailable() or "avx512_bf16")
    assert FP16.unavailable() is None
    monkeypatch.setattr(pytorch, "sees_gpu", lambda: True)
    assert BF16.unavailable() is None


def test_bfloat16_on_a_cpu_without_it_is_refused_at_loading(
    monkeypatch: pytest.MonkeyPatch, boolq_folder: Path, tmp_path: Path
) -> None:
    """A GPU makes the variant available; on the CPU it is still refused."""
    artifact = BF16.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path))
    monkeypatch.setattr(pytorch, "cpu_has_bf16", lambda: False)
    with pytest.raises(DeviceError, match="no bfloat16 instructions"):
        BF16.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)


def test_float16_is_refused_on_the_cpu(boolq_folder: Path, tmp_path: Path) -> None:
    """Its summary says so, and the error has a remedy."""
    artifact = FP16.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path))
    assert "CUDA only" in FP16.summary
    with pytest.raises(DeviceError, match="CUDA only") as refused:
        FP16.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    assert "pytorch-bf16" in str(refused.value)


def test_float16_names_a_missing_device(boolq_folder: Path, tmp_path: Path) -> None:
    """The error names the tenth GPU."""
    artifact = FP16.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path))
    with pytest.raises(DeviceError, match="cuda:9"):
        FP16.load(BOOLQ, artifact, Placement("cuda:9", (0,), 1), tiny.SHORT)
