"""Batches sorted by length within a budget of tokens: bounded, in order, and the same answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.encoding.batching import Batching, Padded, split_by_budget
from baselines.engines.pytorch import SORTED, VARIANTS
from baselines.models.cuda import on_host
from harness.common.errors import UsageError
from harness.systems.interface import EncodedSequence, Request, Settings
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Logits
from harness.workload.tasks.superglue.boolq import BOOLQ

DYNAMIC = VARIANTS[1]


def requests_of(lengths: list[list[int]]) -> list[Request]:
    """Return requests whose sequences have these lengths, each token the number of its sequence."""
    requests, number = [], 0
    for request_lengths in lengths:
        sequences = []
        for length in request_lengths:
            number += 1
            ids = np.full(length, number, dtype=np.int64)
            sequences.append(EncodedSequence(ids, np.zeros_like(ids)))
        requests.append(Request(str(number), tuple(sequences)))
    return requests


@given(lengths=st.lists(st.integers(1, 600), max_size=60), tokens=st.integers(1, 4000))
def test_no_batch_is_larger_than_the_budget_and_none_is_lost(lengths: list[int], tokens: int) -> None:
    """Padding included; only a sequence that is longer by itself exceeds it, alone."""
    batches = split_by_budget(lengths, tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) * longest <= tokens or len(batch) == 1


def test_batches_are_filled_from_the_longest_down() -> None:
    """By hand, 12 tokens: 7 alone (2 x 7 = 14), then 5 and 5 (3 x 5 = 15), then 3, 2 and 1 (3 x 3 = 9)."""
    assert split_by_budget([3, 7, 5, 1, 5, 2], 12) == [[1], [2, 4], [0, 5, 3]]


@given(
    lengths=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), max_size=12),
    tokens=st.integers(40, 200),
)
def test_sorted_answers_come_back_in_the_order_of_the_requests(lengths: list[list[int]], tokens: int) -> None:
    """The answer of each sequence is its number, whatever went through the engine with it."""
    requests = requests_of(lengths)

    def run(padded: Padded) -> Logits:
        assert padded.ids.size <= tokens
        return np.stack([padded.ids[:, 0], padded.mask.sum(axis=1)], axis=1).astype(np.float32)

    predictions = Batching(1, 0, (1, 0), tokens=tokens).answer(requests, run)
    sizes = [length for request in lengths for length in request]
    assert predictions.logits.shape == (len(sizes), 2)
    assert predictions.logits[:, 1].tolist() == list(range(1, len(sizes) + 1))
    assert predictions.logits[:, 0].tolist() == sizes
    assert predictions.offsets.tolist() == np.cumsum([0, *map(len, lengths)]).tolist()


def test_every_batch_is_launched_before_the_first_is_waited_for() -> None:
    """So that a device has work while the host pads the next batch."""
    events: list[str] = []

    def launch(padded: Padded) -> Logits:
        events.append("launch")
        return np.zeros((len(padded.ids), 2), dtype=np.float32)

    def collect(parts: Sequence[Logits]) -> Callable[[], Logits]:
        events.append("copy")

        def wait() -> Logits:
            events.append("wait")
            return np.concatenate(parts)

        return wait

    batching = Batching(1, 0, (0, 1), collect=collect)
    wait_for_predictions = batching.begin(requests_of([[2], [3], [4]]), launch)
    assert events == ["launch", "launch", "launch", "copy"]
    assert wait_for_predictions().logits.shape == (3, 2)
    assert events[4:] == ["wait"]


@pytest.mark.parametrize("name", ["boolq", "wic", "copa"])
def test_a_sorted_model_gives_the_plain_answers(tmp_path: Path, name: str) -> None:
    """In float32 on the CPU, under every head."""
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / "model", task)
    exact = replace(SORTED[0], precision="float32", tokens=tiny.LONG.max_length)
    answers = []
    for variant in (DYNAMIC, exact):
        system = tiny.opened(variant, task, folder, tmp_path / "cache")
        answers.append(system.predict(system.encode(tiny.task_examples(task))).logits)
        description = system.describe()
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-4)
    assert description["batch"] == "sorted by length, 128 tokens with padding"
    assert description["attention"] == "sdpa"


def test_a_budget_that_one_sequence_may_exceed_is_refused(boolq_folder: Path, tmp_path: Path) -> None:
    """Before anything is loaded."""
    with pytest.raises(UsageError, match="31 tokens is less than one sequence of 32"):
        replace(SORTED[0], tokens=31).prepare(
            BOOLQ, tiny.sources(boolq_folder), Settings(max_length=32), tiny.preparation_context(tmp_path)
        )


def test_tensors_of_several_launches_become_one_array() -> None:
    """One below the other, float32."""
    import torch

    logits = on_host([torch.zeros(2, 3), torch.ones(1, 3)])()
    assert logits.shape == (3, 3)
    assert logits.dtype == np.float32
    assert logits[2].tolist() == [1.0, 1.0, 1.0]
