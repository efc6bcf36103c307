"""Forward passes captured at fixed lengths: the right bucket, the plain answers, and only on CUDA."""

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

from baselines.encoding.batching import pad
from baselines.models.classifier import runner
from harness.common.errors import DeviceError, UsageError
from harness.systems.interface import Placement
from harness.workload.tasks import get_task
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.batching.buckets import Buckets, ForwardPass, bucket_for, bucket_lengths
from optimized.batching.cuda_graphs import VARIANTS

BF16 = VARIANTS[0]


@given(longest=st.integers(1, 600), step=st.integers(1, 64), tokens=st.integers(1, 600))
def test_every_length_has_the_smallest_bucket_that_holds_it(longest: int, step: int, tokens: int) -> None:
    """Multiples of the step, and the maximum length itself, which is the last."""
    lengths = bucket_lengths(longest, step)
    assert list(lengths) == sorted(set(lengths))
    assert lengths[-1] == longest
    bucket = bucket_for(min(tokens, longest), lengths)
    assert bucket in lengths
    assert bucket - step < min(tokens, longest) <= bucket


def test_buckets_by_hand() -> None:
    """At most 40 tokens, in steps of 16."""
    lengths = bucket_lengths(40, 16)
    assert lengths == (16, 32, 40)
    assert [bucket_for(tokens, lengths) for tokens in (1, 16, 17, 32, 33, 40)] == [16, 16, 32, 32, 40, 40]


class FakeCapture:
    """Replaces CUDA capture: repeats the pass into the same tensor, as a graph does."""

    def __init__(self) -> None:
        self.replays = 0

    def __call__(self, forward: ForwardPass) -> ForwardPass:
        logits = forward()

        def replay() -> torch.Tensor:
            self.replays += 1
            logits.copy_(forward())
            return logits

        return replay


@pytest.fixture(scope="module")
def captured() -> dict[tuple[str, str], tuple[Any, Buckets, FakeCapture]]:
    """Return for each family and head a model, and its passes at 16, 32 and 40 tokens."""
    models = {}
    for family in ("bert", "roberta", "distilbert"):
        for head in ("boolq", "wic", "copa"):
            model, capture = model_of(family, get_task(head)), FakeCapture()
            models[family, head] = (model, Buckets(model, bucket_lengths(40, 16), capture), capture)
    return models


@given(lengths=st.lists(st.integers(2, 40), min_size=1, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None)
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("head", ["boolq", "wic", "copa"])
def test_bucketed_answers_are_the_plain_ones_at_any_lengths(
    captured: dict[tuple[str, str], tuple[Any, Buckets, FakeCapture]],
    family: str,
    head: str,
    lengths: list[int],
    seed: int,
) -> None:
    """In float32, one replay per sequence; the static inputs keep nothing of an earlier one."""
    model, buckets, capture = captured[family, head]
    spans = get_task(head).head == "span"
    sequences = [sequence(length, seed + index, spans=spans) for index, length in enumerate(lengths)]
    before = capture.replays
    logits = buckets.launch(pad(sequences, 0)).numpy()
    assert capture.replays - before == len(lengths)
    expected = np.concatenate([runner(model)(pad([single], 0)) for single in sequences])
    np.testing.assert_allclose(logits, expected, atol=2e-4)


def test_graphs_are_refused_on_the_cpu_and_on_a_missing_gpu(boolq_folder: Path, tmp_path: Path) -> None:
    """Before a weight is loaded; an invalid step is refused before that."""
    sources, shop = tiny.sources(boolq_folder), tiny.preparation_context(tmp_path)
    artifact = BF16.prepare(BOOLQ, sources, tiny.SHORT, shop)
    with pytest.raises(DeviceError, match="runs on CUDA only, not on cpu"):
        BF16.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    with pytest.raises(DeviceError, match="cuda:9 is not there"):
        BF16.load(BOOLQ, artifact, Placement("cuda:9", (0,), 1), tiny.SHORT)
    with pytest.raises(UsageError, match="at least 1 token, got 0"):
        replace(BF16, step=0).prepare(BOOLQ, sources, tiny.SHORT, shop)
