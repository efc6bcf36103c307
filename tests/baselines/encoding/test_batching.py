"""Batches sorted by length within a budget of tokens: bounded, in order, and the same answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.encoding.batching import Batching, Padded, within_budget
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
    made, number = [], 0
    for request in lengths:
        sequences = []
        for length in request:
            number += 1
            ids = np.full(length, number, dtype=np.int64)
            sequences.append(EncodedSequence(ids, np.zeros_like(ids)))
        made.append(Request(str(number), tuple(sequences)))
    return made


@given(lengths=st.lists(st.integers(1, 600), max_size=60), tokens=st.integers(1, 4000))
def test_no_part_is_larger_than_the_budget_and_none_is_lost(lengths: list[int], tokens: int) -> None:
    """Padding included; only a sequence that is longer by itself exceeds it, alone."""
    parts = within_budget(lengths, tokens)
    assert sorted(place for part in parts for place in part) == list(range(len(lengths)))
    for part in parts:
        longest = max(lengths[place] for place in part)
        assert len(part) * longest <= tokens or len(part) == 1


def test_parts_are_filled_from_the_longest_down() -> None:
    """By hand, 12 tokens: 7 alone (2 x 7 = 14), then 5 and 5 (3 x 5 = 15), then 3, 2 and 1 (3 x 3 = 9)."""
    assert within_budget([3, 7, 5, 1, 5, 2], 12) == [[1], [2, 4], [0, 5, 3]]


@given(
    lengths=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), max_size=12),
    tokens=st.integers(40, 200),
)
def test_sorted_answers_come_back_in_the_order_that_was_asked(lengths: list[list[int]], tokens: int) -> None:
    """The answer of each sequence is its number, whatever went through the engine with it."""
    requests = requests_of(lengths)

    def run(padded: Padded) -> Logits:
        assert padded.ids.size <= tokens
        return np.stack([padded.ids[:, 0], padded.mask.sum(axis=1)], axis=1).astype(np.float32)

    found = Batching(1, 0, (1, 0), tokens=tokens).answer(requests, run)
    sizes = [length for request in lengths for length in request]
    assert found.logits.shape == (len(sizes), 2)
    assert found.logits[:, 1].tolist() == list(range(1, len(sizes) + 1))
    assert found.logits[:, 0].tolist() == sizes
    assert found.offsets.tolist() == np.cumsum([0, *map(len, lengths)]).tolist()


def test_every_batch_is_launched_before_the_first_is_waited_for() -> None:
    """So that a device has work while the host pads the next batch."""
    heard: list[str] = []

    def launch(padded: Padded) -> Logits:
        heard.append("launch")
        return np.zeros((len(padded.ids), 2), dtype=np.float32)

    def collect(parts: Sequence[Logits]) -> Callable[[], Logits]:
        heard.append("copy")

        def wait() -> Logits:
            heard.append("wait")
            return np.concatenate(parts)

        return wait

    batching = Batching(1, 0, (0, 1), collect=collect)
    answered = batching.begin(requests_of([[2], [3], [4]]), launch)
    assert heard == ["launch", "launch", "launch", "copy"]
    assert answered().logits.shape == (3, 2)
    assert heard[4:] == ["wait"]


@pytest.mark.parametrize("name", ["boolq", "wic", "copa"])
def test_a_sorted_model_gives_the_plain_answers(tmp_path: Path, name: str) -> None:
    """In float32 on the CPU, under every head."""
    task = get_task(name)
    folder = tiny.task_checkpoint(tmp_path / "model", task)
    quiet = replace(SORTED[0], precision="float32", tokens=tiny.LONG.max_length)
    answers = []
    for variant in (DYNAMIC, quiet):
        system = tiny.opened(variant, task, folder, tmp_path / "cache")
        answers.append(system.predict(system.encode(tiny.task_examples(task))).logits)
        said = system.describe()
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-4)
    assert said["batch"] == "sorted by length, 128 tokens with padding"
    assert said["attention"] == "sdpa"


def test_a_budget_that_one_sequence_may_exceed_is_refused(boolq_folder: Path, tmp_path: Path) -> None:
    """Before anything is loaded."""
    with pytest.raises(UsageError, match="31 tokens is less than one sequence of 32"):
        replace(SORTED[0], tokens=31).prepare(
            BOOLQ, tiny.sources(boolq_folder), Settings(max_length=32), tiny.workshop(tmp_path)
        )


def test_tensors_of_several_launches_become_one_array() -> None:
    """One below the other, float32."""
    import torch

    found = on_host([torch.zeros(2, 3), torch.ones(1, 3)])()
    assert found.shape == (3, 3)
    assert found.dtype == np.float32
    assert found[2].tolist() == [1.0, 1.0, 1.0]
