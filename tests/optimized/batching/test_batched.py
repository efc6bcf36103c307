"""Batches of similar length: how calls are split, when a budget is kept, and the order of answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.engines.pytorch import VARIANTS
from harness.common.errors import UsageError
from harness.runs.worker.candidates import measure_candidates
from harness.systems.interface import EncodedSequence, Predictions, Request, Settings, offsets_of
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.batching.batched import BUDGETS, BatchedVariant
from optimized.batching.grouping import (
    ONE_AT_A_TIME,
    BatchedSystem,
    SingleCallSystem,
    batch_label,
    batch_sizes,
    split_by_length,
)
from optimized.ladders.rung import engine_of, variant_of

DYNAMIC = VARIANTS[1]


@dataclass
class RecordingSystem:
    """Answers with sums of ids, records the request ids of each call, and reports costs."""

    calls: list[list[str]] = field(default_factory=list)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Give each example as many tokens as its text has letters."""
        return [request(example.id, len(example.inputs[0].first)) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer and record the call."""
        self.calls.append([request.id for request in requests])
        sums = [sequence.ids.sum() for request in requests for sequence in request.sequences]
        rows = [[total, -total] for total in sums]
        costs = {"tokens": np.array([request.tokens for request in requests], dtype=np.float64)}
        logits = np.array(rows, dtype=np.float32).reshape(-1, 2)
        return Predictions(logits, offsets_of(requests), costs=costs)

    def describe(self) -> Mapping[str, Any]:
        """Return a batch that no wrapper keeps."""
        return {"batch": 99}

    def close(self) -> None:
        """Release nothing."""


def request(name: str, *lengths: int) -> Request:
    """Return a request whose token ids depend on its name."""
    rows = [np.arange(length, dtype=np.int32) + hash(name) % 97 for length in lengths]
    return Request(name, tuple(EncodedSequence(row, np.zeros_like(row)) for row in rows))


@given(
    shapes=st.lists(st.tuples(st.sampled_from((1, 1, 1, 0, 3)), st.integers(0, 300)), max_size=50),
    tokens=st.integers(1, 2000),
)
def test_batches_hold_every_request_once_within_the_budget(
    shapes: list[tuple[int, int]], tokens: int
) -> None:
    """Of few sizes; only a batch of one exceeds the budget, and grouped requests are alone."""
    batches = split_by_length(shapes, tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(shapes)))
    for batch in batches:
        width = -(-max(1, *(shapes[index][1] for index in batch), 1) // 16) * 16
        assert len(batch) * width <= tokens or len(batch) == 1
        assert len(batch) in batch_sizes(width, tokens) or shapes[batch[0]][0] != 1
        assert len(batch) == 1 or {shapes[index][0] for index in batch} == {1}


def test_batches_by_hand() -> None:
    """64 tokens hold one of 33 to 48, two of 17 to 32, or four of up to 16; then halves of these."""
    lengths = [5, 40, 17, 20, 33, 9, 9, 9, 9, 9]
    batches = split_by_length([(1, length) for length in lengths], 64)
    # 40 -> 48: one; 33 -> 48: one; 20 -> 32: two, 20 and 17; then 9s of 16: four; 9 and 5: two
    assert batches == [[1], [4], [3, 2], [5, 6, 7, 8], [9, 0]]


def test_answers_keep_the_order_and_the_costs_of_their_requests() -> None:
    """Whatever they were batched with; a single request is one call."""
    recorder = RecordingSystem()
    system = BatchedSystem(recorder, 64)
    requests = [request("a", 3), request("b", 50), request("c", 4, 60, 2), request("d"), request("e", 3)]
    predictions, expected = system.predict(requests), RecordingSystem().predict(requests)
    np.testing.assert_array_equal(predictions.logits, expected.logits)
    np.testing.assert_array_equal(predictions.offsets, expected.offsets)
    assert list(predictions.costs["tokens"]) == [3, 50, 66, 0, 3]
    assert recorder.calls == [["b"], ["a", "e"], ["c"], ["d"]]
    assert len(system.predict([]).logits) == 0
    assert system.predict(requests[:1]).logits.shape == (1, 2)
    assert system.describe()["batch"] == "sorted by length, 64 tokens with padding"


def test_an_engine_answers_in_batches_as_one_request_at_a_time(boolq_folder: Path, tmp_path: Path) -> None:
    """The same numbers in float32, each batch in one call of the engine."""
    options = {"batching": "sorted", "tokens": 128}
    rung = variant_of({"name": "b", "recipes": [], "engine": "pytorch-dynamic", "options": options})
    examples = tiny.examples(20, longest=12)
    systems = [tiny.opened(variant, BOOLQ, boolq_folder, tmp_path, tiny.SHORT) for variant in (rung, DYNAMIC)]
    batched, expected = (system.predict(system.encode(examples)) for system in systems)
    np.testing.assert_allclose(batched.logits, expected.logits, atol=1e-5)
    assert systems[0].describe()["batch"] == "sorted by length, 128 tokens with padding"


def test_a_configured_budget_is_kept_with_its_effect_on_answers(boolq_folder: Path, tmp_path: Path) -> None:
    """Nothing is timed; the largest change of a logit is recorded for the warning that quotes it."""
    variant = BatchedVariant(DYNAMIC, "sorted", 64)
    artifact = variant.prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path)
    )
    assert artifact.manifest["batching"] == {
        "rule": "sorted",
        "tokens": 64,
        "chosen": "sorted by length, 64 tokens with padding",
        "chosen_because": "as configured",
        "seconds_per_request": "not measured",
        "examples": 6,
    }
    dependence = artifact.manifest["batch_dependence"]
    assert dependence["batch"] == "sorted by length, 64 tokens with padding"
    assert 0 <= dependence["max_logit_difference"] < 1e-4


@pytest.mark.parametrize(
    ("factor", "tokens", "reason"),
    [(0.9, 1024, "lowest median time"), (0.98, 0, "more than 3 %"), (1.2, 0, "more than 3 %")],
)
def test_a_budget_is_kept_only_where_it_is_faster(
    boolq_folder: Path, tmp_path: Path, factor: float, tokens: int, reason: str
) -> None:
    """By more than a margin; all times are in the manifest, and the chosen system is loaded."""
    times = {batch_label(budget): 0.02 for budget in BUDGETS} | {
        ONE_AT_A_TIME: 0.01,
        batch_label(1024): 0.01 * factor,
    }
    variant, shop = BatchedVariant(DYNAMIC), tiny.preparation_context(tmp_path, times)
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    batching = artifact.manifest["batching"]
    assert (batching["tokens"], batching["seconds_per_request"]) == (tokens, times)
    assert reason in batching["chosen_because"]
    assert ("batch_dependence" in artifact.manifest) == (tokens > 0)
    description = variant.load(BOOLQ, artifact, tiny.CPU, Settings(max_length=32, batch=8)).describe()
    assert description["batch"] == (batch_label(tokens) if tokens else 1)


def test_without_examples_nothing_is_timed(boolq_folder: Path, tmp_path: Path) -> None:
    """One at a time is kept, and the manifest reports no times."""
    shop = tiny.preparation_context(tmp_path)
    artifact = BatchedVariant(DYNAMIC).prepare(BOOLQ, tiny.sources(boolq_folder, 0), tiny.SHORT, shop)
    batching = artifact.manifest["batching"]
    assert (batching["tokens"], batching["seconds_per_request"]) == (0, "not measured")
    assert batching["chosen_because"] == "nothing could be timed"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batching": "shuffled"}, "must be auto or sorted, got 'shuffled'"),
        ({"batching": "sorted"}, "needs a budget"),
        ({"batching": "auto", "tokens": 512}, "needs a budget"),
        ({"batching": "sorted", "tokens": "many"}, "expected 0 or more tokens"),
        ({"batching": "sorted", "tokens": -1}, "expected 0 or more tokens"),
        ({"batching": "auto", "paddings": "none"}, "paddings"),
    ],
)
def test_an_invalid_rule_is_refused(options: dict[str, Any], message: str) -> None:
    """When the ladder is read, with a remedy."""
    with pytest.raises(UsageError, match=message) as caught:
        engine_of("pytorch-dynamic", options)
    assert caught.value.remedy


def test_a_budget_that_a_sequence_may_exceed_is_refused(boolq_folder: Path, tmp_path: Path) -> None:
    """Before anything is prepared."""
    with pytest.raises(UsageError, match="less than one sequence of 32"):
        BatchedVariant(DYNAMIC, "sorted", 31).prepare(
            BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path)
        )


@dataclass
class CompilingSystem(RecordingSystem):
    """A system whose engine compiles kernels for each shape."""

    shapes: list[tuple[int, int]] = field(default_factory=list)

    def compile_for(self, counts: Callable[[int], Sequence[int]]) -> None:
        """Record the shapes to compile for lengths 16 and 32."""
        self.shapes = [(count, width) for width in (16, 32) for count in counts(width)]


def test_an_engine_that_compiles_for_each_shape_gets_all_of_them_at_loading(tmp_path: Path) -> None:
    """All numbers of sequences that batches can have, and no others."""
    system = CompilingSystem()
    variant = BatchedVariant(variant_around(system), "sorted", 64)
    manifest = {"batching": {"tokens": 64}, "system": {"key": "k"}}
    variant.load(BOOLQ, tiny.Artifact(tmp_path, "k", manifest), tiny.CPU, tiny.SHORT)
    assert system.shapes == [(4, 16), (2, 16), (1, 16), (2, 32), (1, 32)]


def variant_around(system: Any) -> Any:
    """Return a variant that loads this system."""

    @dataclass(frozen=True)
    class FixedVariant:
        name: str = "fixed"

        def load(self, *_rest: Any) -> Any:
            return system

    return FixedVariant()


def ticks() -> Iterator[int]:
    """Yield increasing times."""
    now = 0
    while True:
        now += 1000
        yield now


def test_a_trial_is_timed_as_in_offline() -> None:
    """All examples but the first, which warms up, are in one call, as they will be when measured."""
    recorder, time = RecordingSystem(), ticks()
    examples = [Example(str(n), (TextInput("a" * (n + 1)),)) for n in range(5)]
    seconds = measure_candidates(
        {"system": SingleCallSystem(recorder)}, examples, lambda: next(time), rounds=2
    )  # type: ignore[dict-item]
    first, rest = ["0"], ["1", "2", "3", "4"]
    assert recorder.calls == [first, rest, *[first, first, rest] * 2]
    assert seconds["system"] > 0
