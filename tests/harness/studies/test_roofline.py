"""The roofline: operations from shapes and lengths, shares of measured peaks, and reasons without one."""

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from records import ROUNDS_MS, a_record, rounds

from baselines.hardware.peaks import best_of, measure_cores, products_here
from baselines.models.flops import work_facts, work_of
from harness.analysis.compute_limit import operations_per_request, skipped_share
from harness.common.errors import UsageError
from harness.records.estimate import Unavailable
from harness.records.record import AdaptiveCost, PlacementFacts, Record
from harness.studies.roofline import RooflinePosition, roofline_position, same_host, shapes_of

BERT_BASE = {
    "model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu",
}  # fmt: skip
CORES = {
    "1": {
        "arithmetic": {
            "int8": {"instruction": "vpdpbusd", "per_second": 400e9},
            "fp32": {"instruction": "vfmadd", "per_second": 100e9},
        },
        "bytes_per_second": {"131072": 80e9},
    }
}


def test_bert_bases_operations_are_those_of_its_layers() -> None:
    """12 x (4 x 768 x 768 + 2 x 768 x 3072) weights, twice; and 12 x 4 x 768 for each pair of tokens.

    At 133 tokens that is 22.6 + 0.65 = 23.2 GFLOP, as is usually quoted.
    """
    position = work_of(BERT_BASE)
    assert position is not None
    assert (position.weights, position.per_token, position.per_pair) == (84_934_656, 169_869_312, 36_864)
    assert (position.per_token * 133 + position.per_pair * 133**2) / 1e9 == pytest.approx(23.2, abs=0.05)


def test_pruned_heads_and_units_are_no_work() -> None:
    """8 of 12 heads of 26 and half the units of one layer: each layer counts by what it has."""
    pruned = {
        "model_type": "bert", "hidden_size": 312, "num_hidden_layers": 2, "num_attention_heads": 12,
        "intermediate_size": 1200, "hidden_act": "relu", "attention_head_size": 26,
        "heads_per_layer": [8, 12], "ffn_per_layer": [600, 1200],
    }  # fmt: skip
    position = work_of(pruned)
    assert position is not None
    # 4 x 312 x 208 + 2 x 312 x 600 = 633,984 and 4 x 312 x 312 + 2 x 312 x 1200 = 1,138,176
    assert position.weights == 633_984 + 1_138_176
    assert position.per_pair == 4 * (208 + 312)


def test_an_encoder_unlike_bert_has_no_count() -> None:
    """Rather none than a wrong one."""
    assert work_of({"model_type": "longformer"}) is None
    assert work_facts({"model_type": "longformer"}) == {}


def measured(
    effective: dict[str, Any] | None = None, squares: int | None = 3_000, cpus: Sequence[int] = (0,)
) -> Record:
    """Return a record of 100 requests of 50 tokens in half a second, on one CPU."""
    with_squares = tuple(
        replace(item, token_squares=None if squares is None else squares * item.requests)
        for item in rounds(ROUNDS_MS)
    )
    effective_facts = {
        "work": {"per_token": 2_000_000, "per_pair": 100, "hidden": 8, "ffn": 32},
        **(effective or {}),
    }
    placed = PlacementFacts(cpus=tuple(cpus), threads_requested=len(cpus), effective=effective_facts)
    return a_record().model_copy(update={"rounds": with_squares, "placement": placed})


def test_a_share_is_operations_over_time_and_peak() -> None:
    """50 x 2,000,000 + 3,000 x 100 = 100.3 million a request, in 5 ms: 20.06 G/s, 5.0 % of 400 G/s."""
    record = measured({"weights": "int8, per channel"})
    assert operations_per_request(record) == 100_300_000
    position = roofline_position(record, CORES)
    assert isinstance(position, RooflinePosition)
    assert (position.precision, position.per_second) == ("int8", pytest.approx(20.06e9, rel=1e-3))
    assert (position.of_int8, position.of_own) == (
        pytest.approx(0.05015, rel=1e-3),
        pytest.approx(0.05015, rel=1e-3),
    )
    assert position.least_seconds == pytest.approx(100_300_000 / 400e9)


def test_layers_that_requests_leave_early_are_skipped_and_count_as_work() -> None:
    """4 of 6 layers on average: the model's operations as ever, a third of them skipped."""
    record = measured({"layers": 6}).model_copy(update={"spent": {"layers": AdaptiveCost(mean=4.0)}})
    assert operations_per_request(record) == 100_300_000
    assert skipped_share(record) == pytest.approx(1 / 3)
    position = roofline_position(record, CORES)
    assert isinstance(position, RooflinePosition)
    assert (position.per_second, position.skipped) == (pytest.approx(20.06e9, rel=1e-3), pytest.approx(1 / 3))


def test_the_operations_that_a_system_counts_are_what_it_computes() -> None:
    """If tokens are dropped between layers, lengths and shape do not determine them: 50 of 100.3 million."""
    record = measured({}).model_copy(
        update={"spent": {"operations": AdaptiveCost(mean=5e7), "tokens": AdaptiveCost(mean=9)}}
    )
    assert operations_per_request(record) == 100_300_000
    assert skipped_share(record) == pytest.approx(1 - 50 / 100.3)


def test_an_encoder_without_its_last_layers_unread_part_reports_what_it_skips() -> None:
    """BERT-base: of the last layer 2 x 768 x 768 + 2 x 768 x 3072 weights, and 4 x 768 a pair."""
    facts = work_facts(BERT_BASE, last_whole=False)
    assert facts["skipped"] == {"per_token": 11_796_480, "per_pair": 3_072}
    assert facts["work"]["per_token"] == 169_869_312 - 11_796_480
    assert "skipped" not in work_facts(BERT_BASE)


def test_a_float_system_has_a_share_of_its_own_precision_too() -> None:
    """20.06 of 100 G/s."""
    position = roofline_position(measured({"dtype": "float32"}), CORES)
    assert isinstance(position, RooflinePosition)
    assert (position.precision, position.of_own) == ("fp32", pytest.approx(0.2006, rel=1e-3))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (measured(squares=None), "lengths"),
        (measured({"work": None}), "does not report its operations"),
        (measured(cpus=(0, 1)), "peak of 2 threads"),
    ],
)
def test_without_lengths_work_or_peak_there_is_no_share(record: Record, reason: str) -> None:
    """It is unavailable, with the reason."""
    position = roofline_position(record, CORES)
    assert isinstance(position, Unavailable)
    assert reason in position.reason


def test_products_are_those_of_the_models_at_the_length_that_was_asked() -> None:
    """50 tokens a sequence, a width of 8 and 32 units; then the squares."""
    assert shapes_of([measured()])[:3] == [[50, 8, 8], [50, 8, 32], [50, 32, 8]]
    assert shapes_of([]) == [[256, 256, 256], [1024, 1024, 1024]]


def test_peaks_of_another_machine_are_refused() -> None:
    """A share is only meaningful on the machine of the run."""
    with pytest.raises(UsageError, match="another machine"):
        same_host([measured()], "f" * 64)


def test_the_best_of_several_measurements_counts() -> None:
    """Others on the machine only ever make it slower."""
    slower = json.loads(json.dumps(CORES))
    slower["1"]["arithmetic"]["int8"]["per_second"] = 300e9
    slower["1"]["bytes_per_second"]["131072"] = 90e9
    best = best_of([slower, CORES])
    assert best["1"]["arithmetic"]["int8"]["per_second"] == 400e9
    assert best["1"]["bytes_per_second"]["131072"] == 90e9


def test_without_a_compiler_the_peaks_are_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """What is missing, and how to name another."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert "no C compiler" in str(measure_cores([1]))


def test_a_program_that_does_not_run_here_is_a_reason() -> None:
    """On a processor without kernels, for instance."""

    def broken(arguments: Sequence[str]) -> str:
        raise subprocess.CalledProcessError(4, list(arguments))

    position = measure_cores([1], run=broken)
    assert isinstance(position, str)


def test_the_program_measures_something_on_this_machine() -> None:
    """More than a hundred million operations a second, and int8 not below fp32: any CPU that has a kernel."""
    position = measure_cores([1], seconds=0.01, repeats=1)
    if "no C compiler" in str(position) or platform.machine() != "x86_64":
        pytest.skip(str(position))
    assert not isinstance(position, str), position
    rates = {name: product["per_second"] for name, product in position["1"]["arithmetic"].items()}
    assert all(rate > 1e8 for rate in rates.values())
    assert all(rate > 1e7 for rate in position["1"]["bytes_per_second"].values())


def test_products_are_timed_in_each_precision() -> None:
    """One row a shape and precision."""
    products = products_here([[4, 8, 8]], 1, seconds=0.001)
    assert [product["precision"] for product in products] == ["fp32", "bf16", "int8"]
    assert all(product["per_second"] > 0 for product in products)
