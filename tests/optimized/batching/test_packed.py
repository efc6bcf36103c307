"""Packed batches: the plain answers at any lengths, no reads across sequences, and budgets."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from encoders import model_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sequences import sequence

from baselines.encoding.batching import Padded, pad
from baselines.engines.pytorch import VARIANTS as PLAIN
from baselines.models.classifier import load_classifier, runner, uses_segments
from harness.common.errors import CheckpointError, DeviceError, UsageError
from harness.systems.interface import Placement, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.batching.packed import VARIANTS, PackedVariant, pack
from optimized.batching.packing import (
    PackedModel,
    Packing,
    attend_per_sequence,
    attention_for,
    flash_attention,
    require_packable,
)

BF16, FP16 = VARIANTS
FP32 = PackedVariant("packed", "in float32, for tests", "float32", tokens=128)
HEADS = ("boolq", "wic", "copa")
FAMILIES = ("bert", "roberta", "distilbert")


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, str], tuple[Any, Any]]:
    """Return for each family and head a plain model, and the same one with packed attention."""
    pairs = {}
    for family in FAMILIES:
        for head in HEADS:
            task = get_task(head)
            plain, packed = model_of(family, task), model_of(family, task)
            packed.config._attn_implementation = "packed"  # as `load_classifier` sets it
            pairs[family, head] = (plain, PackedModel(packed, attend_per_sequence, uses_segments(packed)))
    return pairs


@given(lengths=st.lists(st.integers(2, 60), min_size=1, max_size=7), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_packed_answers_are_the_plain_ones_at_any_lengths(
    models: dict[tuple[str, str], tuple[Any, PackedModel]],
    family: str,
    head: str,
    lengths: list[int],
    seed: int,
) -> None:
    """In float32, each sequence against itself alone, in order."""
    plain, packed = models[family, head]
    spans = get_task(head).head == "span"
    sequences = [sequence(length, seed + index, spans=spans) for index, length in enumerate(lengths)]
    expected = np.concatenate([runner(plain)(pad([single], 0)) for single in sequences])
    np.testing.assert_allclose(packed.launch(sequences).numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_sequence_affects_another(
    models: dict[tuple[str, str], tuple[Any, PackedModel]], family: str
) -> None:
    """Other tokens and another length in the middle leave the neighbours' answers the same."""
    _, packed = models[family, "boolq"]
    first, middle, last = (sequence(length, length) for length in (9, 14, 23))
    other, longer = sequence(14, 77), sequence(31, 78)
    before = packed.launch([first, middle, last])
    after = packed.launch([first, other, last])
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])
    np.testing.assert_allclose(packed.launch([first, longer, last])[[0, 2]], before[[0, 2]], atol=1e-5)


@given(lengths=st.lists(st.integers(1, 300), max_size=40), tokens=st.integers(1, 900))
def test_packs_hold_every_sequence_once_in_order_within_the_budget(lengths: list[int], tokens: int) -> None:
    """Only a pack of one longer sequence exceeds it."""
    edges = pack(lengths, tokens)
    assert [index for start, end in edges for index in range(start, end)] == list(range(len(lengths)))
    assert all(sum(lengths[start:end]) <= tokens or end - start == 1 for start, end in edges)


def test_packs_are_filled_in_order() -> None:
    """By hand, 10 tokens: 4 + 6, then 7 + 3, then 1."""
    assert pack([4, 6, 7, 3, 1], 10) == [(0, 2), (2, 4), (4, 5)]
    assert pack([], 10) == []


@pytest.mark.parametrize("name", HEADS)
def test_a_packed_system_answers_in_order_and_describes_itself(tmp_path: Path, name: str) -> None:
    """Prepared and loaded as any variant, with columns in the task's order of labels."""
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / "model", task)
    plain, packed = (tiny.opened(variant, task, folder, tmp_path / "cache") for variant in (PLAIN[1], FP32))
    requests = list(packed.encode(tiny.task_examples(task)))
    predictions, expected = packed.predict(requests), plain.predict(requests)
    np.testing.assert_allclose(predictions.logits, expected.logits, atol=1e-4)
    assert predictions.offsets.tolist() == expected.offsets.tolist()
    assert packed.predict([]).logits.shape == (0, len(task.labels) if task.head != "choice" else 1)
    description = packed.describe()
    assert (description["attention"], description["batch"]) == ("packed", "packed, 128 tokens")
    assert description["padding"] == "none: packed"


class FakeKernel:
    """PyTorch's variable-length attention as documented, computed one sequence at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        starts: torch.Tensor,
        starts_of_keys: torch.Tensor,
        longest: int,
        longest_key: int,
        *,
        scale: float,
    ) -> torch.Tensor:
        assert starts.dtype == torch.int32
        assert torch.equal(starts, starts_of_keys)
        assert longest == longest_key == int((starts[1:] - starts[:-1]).max())
        self.sizes.append(query.shape[-1])
        packing = Packing(tuple(starts.tolist()), starts, attend_per_sequence)
        return attend_per_sequence(packing, query, key, value, scale)


@pytest.mark.parametrize(("size", "padded"), [(26, 32), (32, 32), (64, 64)])
def test_unsupported_head_sizes_are_padded_with_zeros(size: int, padded: int) -> None:
    """A width of 312 with 12 heads gives 26; the kernel needs multiples of 8. Answers are the same."""
    torch.manual_seed(0)
    edges = (0, 3, 10)
    packing = Packing(edges, torch.tensor(edges, dtype=torch.int32), attend_per_sequence)
    query, key, value = (torch.randn(10, 2, size) for _ in range(3))
    kernel = FakeKernel()
    attended = flash_attention(kernel)(packing, query, key, value, size**-0.5)
    assert kernel.sizes == [padded]
    np.testing.assert_allclose(
        attended, attend_per_sequence(packing, query, key, value, size**-0.5), atol=1e-5
    )


def test_a_whole_model_answers_the_same_through_the_kernel() -> None:
    """As it is called on CUDA, with a fake kernel."""
    plain, packed = model_of("bert", BOOLQ), model_of("bert", BOOLQ)
    packed.config._attn_implementation = "packed"
    sequences = [sequence(length, length) for length in (5, 30, 11)]
    expected = np.concatenate([runner(plain)(pad([single], 0)) for single in sequences])
    logits = PackedModel(packed, flash_attention(FakeKernel()), segments=True).launch(sequences)
    np.testing.assert_allclose(logits.numpy(), expected, atol=2e-4)


def test_packed_attention_on_cuda_needs_16_bits() -> None:
    """Checked before a tensor is moved to the GPU; on the CPU float32 is supported."""
    gpu = torch.device("cuda", 0)
    with pytest.raises(DeviceError, match=r"needs bfloat16 or float16, got torch\.float32"):
        attention_for(gpu, torch.float32)
    assert attention_for(torch.device("cpu"), torch.float32) is attend_per_sequence


def test_a_pytorch_without_the_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy names a variant that works without it."""
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
    with pytest.raises(DeviceError, match="no variable-length attention") as refused:
        attention_for(torch.device("cuda", 0), torch.bfloat16)
    assert "pytorch-sorted-bf16" in str(refused.value)


def test_a_model_whose_attention_is_not_replaced_is_refused() -> None:
    """It would attend across sequences; the layers are counted while two sequences are answered."""
    model = model_of("bert", BOOLQ)  # its attention is the library's own
    with pytest.raises(CheckpointError, match="does not support its attention"):
        require_packable(model, PackedModel(model, attend_per_sequence, segments=True), "mine")


def test_an_unknown_family_is_refused(boolq_folder: Path, tmp_path: Path) -> None:
    """Before its weights are read; the remedy names a variant for every family."""
    artifact = FP32.prepare(
        BOOLQ, tiny.sources(boolq_folder), Settings(max_length=64), tiny.preparation_context(tmp_path)
    )
    folder = tmp_path / "mpnet"
    folder.mkdir()
    for path in boolq_folder.iterdir():
        text = path.read_bytes()
        if path.name == "config.json":
            text = text.replace(b'"model_type": "bert"', b'"model_type": "mpnet"')
        (folder / path.name).write_bytes(text)
    with pytest.raises(CheckpointError, match="does not support its attention") as refused:
        FP32.load(BOOLQ, replace(artifact, folder=folder), tiny.CPU, Settings(max_length=60))
    assert "pytorch-sorted-bf16" in str(refused.value)


def test_invalid_budgets_and_devices_are_refused(boolq_folder: Path, tmp_path: Path) -> None:
    """A budget below one sequence; float16 on a CPU; a missing GPU."""
    sources, shop = tiny.sources(boolq_folder), tiny.preparation_context(tmp_path)
    with pytest.raises(UsageError, match="less than one sequence"):
        replace(FP32, tokens=16).prepare(BOOLQ, sources, tiny.SHORT, shop)
    artifact = FP16.prepare(BOOLQ, sources, tiny.SHORT, shop)
    with pytest.raises(DeviceError, match="CUDA only"):
        FP16.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    with pytest.raises(DeviceError, match="cuda:9 is not there"):
        BF16.load(BOOLQ, artifact, Placement("cuda:9", (0,), 1), tiny.SHORT)


def test_loading_with_packed_attention_sets_it_in_the_configuration(boolq_folder: Path) -> None:
    """A forward pass without packing is refused."""
    model = load_classifier(boolq_folder, "packed")
    assert model.config._attn_implementation == "packed"
    padded = pad([sequence(5, 0)], 0)

    def run(batch: Padded) -> Logits:
        return runner(model)(batch)

    with pytest.raises(CheckpointError, match="does not pass sequence boundaries"):
        run(padded)
