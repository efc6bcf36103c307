"""Batches of like lengths: how they are cut, when they are kept, and that answers stay where they belong."""

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
from optimized.batching.grouping import ONE_AT_A_TIME, AllAtOnce, BatchedSystem, counts_of, label, parts_of
from optimized.ladders.rung import engine_of, variant_of

DYNAMIC = VARIANTS[1]


@dataclass
class Counting:
    """Answers with sums of ids, remembers what each call held, and says what each request cost."""

    calls: list[list[str]] = field(default_factory=list)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Give each example as many tokens as its text has letters."""
        return [request(one.id, len(one.inputs[0].first)) for one in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer."""
        self.calls.append([one.id for one in requests])
        rows = [[each.ids.sum(), -each.ids.sum()] for one in requests for each in one.sequences]
        costs = {"tokens": np.array([one.tokens for one in requests], dtype=np.float64)}
        logits = np.array(rows, dtype=np.float32).reshape(-1, 2)
        return Predictions(logits, offsets_of(requests), costs=costs)

    def describe(self) -> Mapping[str, Any]:
        """Say nothing."""
        return {"batch": 99}

    def close(self) -> None:
        """Release nothing."""


def request(name: str, *lengths: int) -> Request:
    """Return a request whose ids tell its name."""
    rows = [np.arange(length, dtype=np.int32) + hash(name) % 97 for length in lengths]
    return Request(name, tuple(EncodedSequence(row, np.zeros_like(row)) for row in rows))


@given(
    shapes=st.lists(st.tuples(st.sampled_from((1, 1, 1, 0, 3)), st.integers(0, 300)), max_size=50),
    tokens=st.integers(1, 2000),
)
def test_parts_hold_every_request_once_within_the_budget(shapes: list[tuple[int, int]], tokens: int) -> None:
    """Of few sizes, none with padding beyond the budget but one that is alone, and grouped ones are alone."""
    parts = parts_of(shapes, tokens)
    assert sorted(place for part in parts for place in part) == list(range(len(shapes)))
    for part in parts:
        width = -(-max(1, *(shapes[place][1] for place in part), 1) // 16) * 16
        assert len(part) * width <= tokens or len(part) == 1
        assert len(part) in counts_of(width, tokens) or shapes[part[0]][0] != 1
        assert len(part) == 1 or {shapes[place][0] for place in part} == {1}


def test_parts_by_hand() -> None:
    """64 tokens: one of 33 to 48, two of 17 to 32, four of up to 16, and halves of these at the end."""
    lengths = [5, 40, 17, 20, 33, 9, 9, 9, 9, 9]
    parts = parts_of([(1, length) for length in lengths], 64)
    # 40 -> 48: one; 33 -> 48: one; 20 -> 32: two, 20 and 17; then 9s of 16: four; 9 and 5: two
    assert parts == [[1], [4], [3, 2], [5, 6, 7, 8], [9, 0]]


def test_answers_keep_the_order_and_the_costs_of_their_requests() -> None:
    """Whatever they were batched with; one that is asked alone is one call."""
    inner = Counting()
    system = BatchedSystem(inner, 64)
    asked = [request("a", 3), request("b", 50), request("c", 4, 60, 2), request("d"), request("e", 3)]
    found, expected = system.predict(asked), Counting().predict(asked)
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert list(found.costs["tokens"]) == [3, 50, 66, 0, 3]
    assert inner.calls == [["b"], ["a", "e"], ["c"], ["d"]]
    assert len(system.predict([]).logits) == 0
    assert system.predict(asked[:1]).logits.shape == (1, 2)
    assert system.describe()["batch"] == "sorted by length, 64 tokens with padding"


def test_an_engine_answers_in_batches_as_it_does_alone(boolq_folder: Path, tmp_path: Path) -> None:
    """The same numbers in float32, each part in one call of the engine."""
    words = {"batching": "sorted", "tokens": 128}
    rung = variant_of({"name": "b", "recipes": [], "engine": "pytorch-dynamic", "options": words})
    examples = tiny.examples(20, longest=12)
    both = [tiny.opened(each, BOOLQ, boolq_folder, tmp_path, tiny.SHORT) for each in (rung, DYNAMIC)]
    found, expected = (system.predict(system.encode(examples)) for system in both)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
    assert both[0].describe()["batch"] == "sorted by length, 128 tokens with padding"


def test_a_rule_that_was_asked_for_is_kept_with_what_it_does_to_answers(
    boolq_folder: Path, tmp_path: Path
) -> None:
    """Nothing is timed; how far logits moved is there for the warning that quotes it."""
    variant = BatchedVariant(DYNAMIC, "sorted", 64)
    made = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path))
    assert made.manifest["batching"] == {
        "rule": "sorted",
        "tokens": 64,
        "chosen": "sorted by length, 64 tokens with padding",
        "chosen_because": "as asked",
        "seconds_per_request": "not measured",
        "examples": 6,
    }
    moved = made.manifest["batch_dependence"]
    assert moved["batch"] == "sorted by length, 64 tokens with padding"
    assert 0 <= moved["max_logit_difference"] < 1e-4


@pytest.mark.parametrize(
    ("factor", "tokens", "because"),
    [(0.9, 1024, "lowest median time"), (0.98, 0, "more than 3 %"), (1.2, 0, "more than 3 %")],
)
def test_a_budget_is_kept_only_where_it_is_faster(
    boolq_folder: Path, tmp_path: Path, factor: float, tokens: int, because: str
) -> None:
    """By more than a margin; what was tried is told, and the system that is loaded is the one chosen."""
    times = {label(each): 0.02 for each in BUDGETS} | {ONE_AT_A_TIME: 0.01, label(1024): 0.01 * factor}
    variant, shop = BatchedVariant(DYNAMIC), tiny.workshop(tmp_path, times)
    made = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, shop)
    batching = made.manifest["batching"]
    assert (batching["tokens"], batching["seconds_per_request"]) == (tokens, times)
    assert because in batching["chosen_because"]
    assert ("batch_dependence" in made.manifest) == (tokens > 0)
    said = variant.load(BOOLQ, made, tiny.CPU, Settings(max_length=32, batch=8)).describe()
    assert said["batch"] == (label(tokens) if tokens else 1)


def test_without_examples_nothing_is_timed_and_nothing_claimed(boolq_folder: Path, tmp_path: Path) -> None:
    """One at a time stays."""
    shop = tiny.workshop(tmp_path)
    made = BatchedVariant(DYNAMIC).prepare(BOOLQ, tiny.sources(boolq_folder, 0), tiny.SHORT, shop)
    batching = made.manifest["batching"]
    assert (batching["tokens"], batching["seconds_per_request"]) == (0, "not measured")
    assert batching["chosen_because"] == "nothing could be timed"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batching": "shuffled"}, "no batching"),
        ({"batching": "sorted"}, "needs a budget"),
        ({"batching": "auto", "tokens": 512}, "needs a budget"),
        ({"batching": "sorted", "tokens": "many"}, "expected 0 or more tokens"),
        ({"batching": "sorted", "tokens": -1}, "expected 0 or more tokens"),
        ({"batching": "auto", "paddings": "none"}, "paddings"),
    ],
)
def test_a_rule_that_is_none_is_refused(options: dict[str, Any], said: str) -> None:
    """When the ladder is read, with what to write instead."""
    with pytest.raises(UsageError, match=said) as caught:
        engine_of("pytorch-dynamic", options)
    assert caught.value.remedy


def test_a_budget_that_a_sequence_may_exceed_is_refused(boolq_folder: Path, tmp_path: Path) -> None:
    """Before anything is prepared."""
    with pytest.raises(UsageError, match="less than one sequence of 32"):
        BatchedVariant(DYNAMIC, "sorted", 31).prepare(
            BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path)
        )


@dataclass
class Compiling(Counting):
    """An engine that compiles kernels for each shape."""

    shapes: list[tuple[int, int]] = field(default_factory=list)

    def compile_for(self, counts: Callable[[int], Sequence[int]]) -> None:
        """Remember what it should compile for lengths 16 and 32."""
        self.shapes = [(count, width) for width in (16, 32) for count in counts(width)]


def test_an_engine_that_compiles_for_each_shape_meets_all_of_them_when_it_is_loaded(tmp_path: Path) -> None:
    """As many as parts can have, and no others."""
    inner = Compiling()
    variant = BatchedVariant(replaced(inner), "sorted", 64)
    kept = {"batching": {"tokens": 64}, "system": {"key": "k"}}
    variant.load(BOOLQ, tiny.Artifact(tmp_path, "k", kept), tiny.CPU, tiny.SHORT)
    assert inner.shapes == [(4, 16), (2, 16), (1, 16), (2, 32), (1, 32)]


def replaced(system: Any) -> Any:
    """Return plain PyTorch's variant, whose system is another."""

    @dataclass(frozen=True)
    class Given:
        name: str = "given"

        def load(self, *_rest: Any) -> Any:
            return system

    return Given()


def ticks() -> Iterator[int]:
    """Tell a time that goes on."""
    now = 0
    while True:
        now += 1000
        yield now


def test_a_trial_is_timed_as_offline_asks() -> None:
    """All but the first, which warms up, in one call: so a batch has the company that it will have."""
    inner, time = Counting(), ticks()
    examples = [Example(str(n), (TextInput("a" * (n + 1)),)) for n in range(5)]
    found = measure_candidates({"one": AllAtOnce(inner)}, examples, lambda: next(time), rounds=2)  # type: ignore[dict-item]
    first, rest = ["0"], ["1", "2", "3", "4"]
    assert inner.calls == [first, rest, *[first, first, rest] * 2]
    assert found["one"] > 0
