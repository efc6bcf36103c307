"""How requests arrive, from the options to the record, on a machine where every time is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import UsageError
from harness.records.journal_entries import RateSearch
from harness.records.record import Record
from harness.records.store import Store, read_samples
from harness.runs.execution.rate_search import common_rate
from harness.runs.execution.run import execute, resume, start
from harness.runs.planning.options import RunOptions
from harness.systems.interface import Artifact, Placement, Predictions, Request, Settings, System
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.testing.world import altered
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

MS = 1_000_000


class Around:
    """A system around another that answers every so many calls the other way."""

    def __init__(self, inner: System, flips: int) -> None:
        self._inner, self._flips = inner, flips
        self._calls = 0

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        return self._inner.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        found = self._inner.predict(requests)
        self._calls += 1
        if self._calls % self._flips == 0:
            return Predictions(np.ascontiguousarray(found.logits[:, ::-1]), found.offsets)
        return found

    def describe(self) -> Mapping[str, Any]:
        return self._inner.describe()

    def close(self) -> None:
        self._inner.close()


class Flipping(FakeVariant):
    """Answers every fifth call the other way."""

    __slots__ = ()

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> Any:
        return Around(FakeVariant.load(self, task, artifact, placement, settings), flips=5)


def measured(world: World, **options: Any) -> list[Record]:
    wanted = RunOptions("boolq", data=boolq_folder(world.root), **{"profile": "quick", **options})
    return execute(start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard()))


def by_variant(world: World, **options: Any) -> dict[str, Record]:
    return {record.cell.variant: record for record in measured(world, **options)}


def test_at_one_rate_all_take_as_long_and_energy_counts_the_time_between(tmp_path: Path) -> None:
    """At 1,000 a second a request is offered each ms; 10 W for a ms are 10 mJ, whoever answers it."""
    records = by_variant(World(tmp_path), scenarios=("server",), rates=(1000.0,))
    for record in records.values():
        assert record.load is not None
        assert (record.load.rate, record.load.overloaded) == (pytest.approx(1000.0), False)
        assert record.load.achieved == pytest.approx(1000.0, rel=0.01)
        for turn in record.rounds:
            assert turn.offered_ns == turn.requests * MS
            (reading,) = turn.readings
            assert reading.microjoules == pytest.approx(10_000 * turn.requests, rel=0.01)
    # 256 us of service for the padded baseline, and its waiting; 200 ns a token for int8
    assert records["pytorch-fixed"].latency["p50"].value_ns == pytest.approx(256_000, rel=0.5)
    assert (records["onnx-int8"].latency["p90"].value_ns or 0) < 50_000


def test_the_steady_state_stands_beside_what_short_windows_show(tmp_path: Path) -> None:
    """M/D/1 of 256 us at 90 %: windows of 32 requests show less than its p99."""
    record = by_variant(World(tmp_path), scenarios=("server",), rates=(3_516.0,))["pytorch-fixed"]
    assert record.load is not None
    steady = record.load.steady
    assert steady is not None
    assert steady.utilisation == pytest.approx(0.9, rel=0.001)
    assert (steady.percentile, steady.unavailable) == (99.0, None)
    # P(wait > t services) is about 0.934 e^(-0.2071 t): the rate solves load (e^r - 1) = r (Tijms 1994, 4.2)
    expected_ns = 256_000 * (1 + np.log(93.4) / 0.2071)
    assert steady.value_ns is not None
    assert steady.error_ns is not None
    assert abs(steady.value_ns - expected_ns) <= 4 * steady.error_ns <= 0.1 * expected_ns
    assert steady.measured_ns < steady.value_ns / 1.25


def test_a_system_that_cannot_bear_the_rate_says_so(tmp_path: Path) -> None:
    """256 us a request are 3,906 a second: of 10,000 it answers those, and waits longer and longer."""
    records = by_variant(World(tmp_path), scenarios=("server",), rates=(10_000.0,))
    load = records["pytorch-fixed"].load
    assert load is not None
    assert load.overloaded
    assert load.achieved == pytest.approx(3_906, rel=0.01)
    other = records["onnx-int8"].load
    assert other is not None
    assert not other.overloaded


def test_all_systems_of_a_round_get_the_same_arrivals_and_a_resumed_run_too(tmp_path: Path) -> None:
    """Interrupted in the second round: what follows is what an unbroken run would have measured."""
    world = World(tmp_path)
    wanted = RunOptions(
        "boolq", data=boolq_folder(tmp_path), profile="quick", scenarios=("server",), rates=(500.0,)
    )
    run = start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())

    class Stubborn(Heard):
        def detail(self, text: str) -> None:
            if text.startswith("round 2"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(replace(run, narrator=Stubborn()))
    (folder,) = Store(world.store).unfinished()
    again = execute(resume(folder, world.cache, world.machine, Heard()))
    whole = measured(World(tmp_path / "whole"), scenarios=("server",), rates=(500.0,))
    for one, other in zip(again, whole, strict=True):
        assert [turn.offered_ns for turn in one.rounds] == [turn.offered_ns for turn in other.rounds]
        # the clock is read once more or less here and there: 10 ns each
        for name in ("p50", "p90"):
            assert one.latency[name].value_ns == pytest.approx(other.latency[name].value_ns, abs=50)


def test_a_batch_is_one_call_and_its_latency_is_the_calls(tmp_path: Path) -> None:
    """32 requests in batches of 8: four calls of 8 x 256 us, and 10 ns for a look at the clock."""
    world = World(tmp_path)
    records = by_variant(world, scenarios=("batch",), batches=(8,))
    record = records["pytorch-fixed"]
    samples = read_samples(world.store / "runs" / record.run, record)
    assert record.cell.batch == 8
    assert [turn.requests for turn in record.rounds] == [32, 32, 32]
    assert samples["call_ns"].tolist() == [8 * 256_000 + 10] * 12
    assert (record.latency["p50"].have, record.latency["p50"].value_ns) == (12, 8 * 256_000 + 10)
    assert record.latency["p90"].value_ns is None


def test_several_batch_sizes_and_rates_are_groups_of_their_own(tmp_path: Path) -> None:
    """Two batch sizes, two rates, and single-stream: five groups of four."""
    records = measured(
        World(tmp_path),
        scenarios=("single-stream", "batch", "server"),
        batches=(2, 8),
        rates=(100.0, 200.0),
    )
    assert len({record.cell.group for record in records}) == 5
    assert len({record.cell.id for record in records}) == 20
    answers = [
        record.quality.timed_sha256
        for record in records
        if record.quality and record.cell.variant == "onnx-int8"
    ]
    assert len(set(answers)) == 1


def test_a_window_repeats_its_slice_until_it_is_long_enough(tmp_path: Path) -> None:
    """32 requests of 256,020 ns are 8.19 ms: three passes fill 20 ms. Answers and distinct requests stay."""
    record = by_variant(World(tmp_path), window_ms=20)["pytorch-fixed"]
    assert [(turn.passes, turn.requests) for turn in record.rounds] == [(3, 96)] * 3
    assert record.rounds[0].wall_ns == 96 * 256_010 + 95 * 10
    assert record.latency["p50"].have == 96
    assert record.quality is not None
    assert (record.quality.timed, record.quality.unstable) == (96, 0)


@pytest.mark.parametrize("resident", [True, False])
def test_all_warm_up_as_long_as_the_slowest_to_settle(tmp_path: Path, *, resident: bool) -> None:
    """Each window of the fake takes 5 % more than the one before; the profile's four windows are the cap."""
    clock = FakeClock(step_ns=10)

    class Growing(FakeVariant):
        __slots__ = ()

        def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> Any:
            inner = FakeVariant.load(self, task, artifact, placement, settings)
            calls = [0]
            predict = inner.predict

            class Slower:
                encode, describe, close = inner.encode, inner.describe, inner.close

                def predict(self, requests: Sequence[Request]) -> Predictions:
                    calls[0] += 1
                    clock.advance(round(MS * 1.05 ** (calls[0] // 16)))
                    return predict(requests)

            return Slower()

    world = World(tmp_path, Growing("growing", clock, 1))
    if not resident:
        world.machine = altered(world.machine, memory_limit_bytes=lambda: 2**20)
    records = by_variant(world, variants=("pytorch-fixed", "growing"))
    found = {name: record.start for name, record in records.items()}
    assert found["growing"] is not None
    assert found["pytorch-fixed"] is not None
    # four windows of 16 and the first request, the same for the one that was steady after two
    assert (found["growing"].warmup_requests, found["growing"].steady) == (65, False)
    assert (found["pytorch-fixed"].warmup_requests, found["pytorch-fixed"].steady) == (65, True)


def test_what_a_length_costs_that_was_not_seen_before_stands_apart(tmp_path: Path) -> None:
    """The fake takes as long for a length again: first and repeat are equal, over 15 lengths of 16."""
    record = by_variant(World(tmp_path))["pytorch-dynamic"]
    assert record.start is not None
    assert record.start.lengths == 15
    assert record.start.first_length_ns == record.start.repeat_length_ns
    assert by_variant(World(tmp_path / "b"), scenarios=("offline",))["onnx-int8"].start.lengths == 0  # type: ignore[union-attr]


def test_answers_that_change_when_they_are_timed_again_are_counted(tmp_path: Path) -> None:
    """Each example is timed in two rounds or more, and every fifth call of all is answered the other way."""
    clock = FakeClock(step_ns=10)
    world = World(tmp_path, Flipping("flipping", clock, 1000))
    records = by_variant(world, variants=("pytorch-fixed", "flipping"), rounds=6, sample=64)
    flipping, fixed = records["flipping"].quality, records["pytorch-fixed"].quality
    assert flipping is not None
    assert fixed is not None
    assert (flipping.unstable or 0) > 0
    assert fixed.unstable == 0


def test_where_no_example_is_timed_twice_nothing_is_said_of_stability(tmp_path: Path) -> None:
    """96 examples in three slices, three rounds."""
    quality = by_variant(World(tmp_path))["onnx-int8"].quality
    assert quality is not None
    assert quality.unstable is None


def test_the_highest_rate_within_a_promise_is_searched_and_all_are_offered_what_all_bear(
    tmp_path: Path,
) -> None:
    """p90 within 1 ms: the padded fake takes 256 us, so it bears many; the faster ones bear more."""
    records = by_variant(World(tmp_path), scenarios=("server",), slo="p90=1ms")
    loads = {name: record.load for name, record in records.items()}
    found = {name: load.highest_rate for name, load in loads.items() if load}
    assert all(found.values())
    slowest = found["pytorch-fixed"]
    assert slowest is not None
    # one server of 256 us: 3,906 a second at most, and half of that waits 128 us on average
    assert 1_900 < slowest < 3_906
    for load in loads.values():
        assert load is not None
        assert load.rate == pytest.approx(min(rate for rate in found.values() if rate))
        assert load.promise == "p90=1ms"
        for trial in load.trials:
            assert (trial.needed, trial.have, trial.requests) == (64, 96, 96)
            longest_ns = max(trial.value_ns, trial.steady_ns or 0)
            assert trial.utilisation is not None
            endless = trial.utilisation > 0.98
            assert trial.kept == (longest_ns <= MS and not (trial.overloaded or endless))
        assert max(trial.rate for trial in load.trials if trial.kept) == load.highest_rate


def test_a_promise_that_cannot_be_kept_leaves_no_rate(tmp_path: Path) -> None:
    """p50 within 100 us, where a request takes 256: the search ends at a sixteenth of the capacity."""
    records = by_variant(World(tmp_path), scenarios=("server",), slo="p50=100us", variants=("pytorch-fixed",))
    load = records["pytorch-fixed"].load
    assert load is not None
    assert load.highest_rate is None
    assert load.capacity is not None
    assert load.rate == pytest.approx(load.capacity / 16)


def test_the_rate_offered_to_all_is_the_least_of_those_that_keep_the_promise() -> None:
    """Whoever keeps it at no rate does not lower it for the others."""
    one = RateSearch(highest_rate=80.0, capacity=100.0, trials=[])
    other = RateSearch(highest_rate=40.0, capacity=50.0, trials=[])
    none = RateSearch(highest_rate=None, capacity=16.0, trials=[])
    assert common_rate([one, other, none]) == 40.0
    assert common_rate([none]) == 1.0
    assert common_rate([]) == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scenarios": ("batch",)}, "scenario batch needs a batch size"),
        ({"scenarios": ("server",)}, "scenario server needs a rate"),
        ({"batches": (8,)}, "--batch is for scenarios batch and offline"),
        ({"rates": (8.0,)}, "--rate and --slo are for scenario server"),
        ({"scenarios": ("batch",), "batches": (0,)}, "whole numbers from 1"),
        ({"scenarios": ("batch",), "batches": (8, 8)}, "each named once"),
        ({"scenarios": ("server",), "rates": (0.0,)}, "above 0"),
        ({"scenarios": ("server",), "slo": "fast"}, "not a service-level objective: 'fast'"),
        ({"scenarios": ("server",), "rates": (5.0,), "boundary": "process"}, "which is scenario offline"),
    ],
)
def test_options_and_scenarios_that_do_not_go_together_are_refused(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    """Before anything is read."""
    world = World(tmp_path)
    with pytest.raises(UsageError, match=words):
        measured(world, **options)
    assert not world.store.exists()
