import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_failure, a_host, a_record

from harness.analysis.statistics import ratios
from harness.analysis.statistics.pairing import NotComparable, pair_of
from harness.analysis.statistics.ratios import Ratio
from harness.records.record import PlacementFacts, Record

WITHIN_ONE_PROCESS = "trimmed mean of paired rounds, t interval over rounds, within one process"


def ratio_of(system: Record, reference: Record) -> Ratio:
    ratio = ratios.speedup(system, reference)
    assert isinstance(ratio, Ratio)
    return ratio


def a_ratio(value: float, low: float, high: float, quantity: ratios.Quantity = "speed-up") -> Ratio:
    return Ratio(value, low, high, 0.95, "by hand", 7, over="pytorch-fixed", quantity=quantity)


def test_a_speedup_is_the_mean_of_paired_ratios_on_the_log_scale() -> None:
    """10, 20, 30 ms over 10, 4, 5 ms are 1, 5 and 6: their product is 30, and its cube root 3.107."""
    ratio = ratio_of(a_record("fast", (10, 4, 5)), a_record("pytorch-fixed", (10, 20, 30)))
    assert ratio.value == pytest.approx(30 ** (1 / 3))
    assert (ratio.over, ratio.quantity, ratio.count) == ("pytorch-fixed", "speed-up", 3)
    assert ratio.method == WITHIN_ONE_PROCESS


def test_a_disturbance_of_both_does_not_change_the_ratio() -> None:
    """Round 1 took twice as long for both: every pair is still 4, so the interval has no width."""
    ratio = ratio_of(a_record("fast", (100, 200, 100)), a_record("pytorch-fixed", (400, 800, 400)))
    assert (ratio.low, ratio.value, ratio.high) == (4, 4, 4)


def test_times_are_per_request() -> None:
    """50 requests in 100 ms against 100 in 400 ms: 2 ms against 4 ms is a speed-up of 2."""
    assert ratio_of(a_record("fast", (100,) * 3, requests=50), a_record(wall_ms=(400,) * 3)).value == 2


def test_a_record_is_as_fast_as_itself() -> None:
    """The ratio of a record with itself is 1, with an interval of no width."""
    ratio = ratio_of(a_record(), a_record())
    assert (ratio.low, ratio.value, ratio.high) == (1, 1, 1)


@given(st.lists(st.tuples(st.floats(1, 1e5), st.floats(1, 1e5)), min_size=3, max_size=9))
def test_an_interval_holds_its_ratio_and_stays_finite_and_positive(pairs: list[tuple[float, float]]) -> None:
    """For any rounds, no bound is zero, infinite or on the wrong side."""
    mine, theirs = zip(*pairs, strict=True)
    ratio = ratio_of(a_record("fast", mine), a_record(wall_ms=theirs))
    assert 0 < ratio.low <= ratio.value <= ratio.high < math.inf


def test_rounds_are_paired_by_launch_and_index_and_unshared_ones_left_out() -> None:
    """The system lacks its first round of launch 1: five pairs remain, each of them 2."""
    system = a_record("fast", (50,) * 6, launches=2)
    kept = tuple(item for item in reversed(system.rounds) if (item.launch, item.index) != (1, 0))
    ratio = ratio_of(system.model_copy(update={"rounds": kept}), a_record(wall_ms=(100,) * 6, launches=2))
    assert (ratio.value, ratio.count) == (pytest.approx(2), 5)
    assert ratio.method == "trimmed mean of paired rounds, t interval over rounds and launches"


def test_more_confidence_widens_the_interval() -> None:
    """An interval of higher confidence contains that of lower confidence."""
    system, reference = a_record("fast", (10, 11, 12, 10, 11, 13, 12)), a_record()
    usual, strict = ratios.speedup(system, reference), ratios.speedup(system, reference, confidence=0.999)
    assert isinstance(usual, Ratio)
    assert isinstance(strict, Ratio)
    assert strict.low <= usual.low <= usual.high <= strict.high
    assert strict.confidence == 0.999


def test_ratios_of_many_pairs_equal_each_alone() -> None:
    """Bit for bit and in their order, refusals, shared rounds and several launches among them."""
    slower = a_record(wall_ms=(20, 23, 21, 22, 27, 24, 25, 26))
    late = tuple(reversed(a_record("late", (9, 11, 13, 10, 12, 14, 15, 16)).rounds[2:]))
    pairs = [
        (a_record("fast", (10, 12, 11, 14, 13, 17, 15, 16)), slower),
        (a_failure("broken"), slower),
        (a_record("late", rounds=late), slower),
        (a_record("fast", (10, 11, 13) * 4, launches=3), a_record(wall_ms=(20, 25, 23) * 4, launches=3)),
        (a_record("few", (10, 11)), slower),
        (a_record("unmetered", (10, 12, 11), joules=(None,) * 3), slower),
        (slower, slower),
    ]
    given = [pair_of(*pair) for pair in pairs]
    assert ratios.speedups(given) == [ratios.speedup(*pair) for pair in pairs]
    assert ratios.energy_reductions(given) == [ratios.energy_reduction(*pair) for pair in pairs]
    assert [type(ratio).__name__ for ratio in ratios.speedups(given)].count("NotComparable") == 2


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"cell": {"task": "cb"}}, "task", "the task differs: cb and boolq"),
        ({"cell": {"device": "cuda:0"}}, "device", "the device differs: cuda:0 and cpu"),
        ({"cell": {"scenario": "offline"}}, "scenario", "the scenario differs: offline and single-stream"),
        ({"cell": {"boundary": "text"}}, "boundary", "the boundary differs: text and encoded"),
        ({"cell": {"batch": 8}}, "batch", "the batch differs: 8 and 1"),
        ({"cell": {"max_length": 512}}, "maximum length", "the maximum length differs: 512 and 256"),
        ({"cell": {"group": "other"}}, "group", "the group differs: other and boolq-cpu"),
        ({"cell": {"threads": 1}}, "threads", "the number of threads differs: 1 and 2"),
        ({"data": {"fingerprint": "e" * 64}}, "data fingerprint", "eeeeeeeeeeee and aaaaaaaaaaaa"),
        ({"data": {"split": "test"}}, "split", "the split differs: test and val"),
        ({"data": {"sample": 96}}, "sample", "the sample differs: 96 and 700"),
        ({"run": "r2"}, "run", "the run differs: r2 and r1"),
        ({"seed": 1}, "seed", "the seed differs: 1 and 0"),
        ({"profile": "quick"}, "profile", "the profile differs: quick and default"),
        (
            {"host": a_host().model_copy(update={"fingerprint": "f" * 64})},
            "host fingerprint",
            "ffffffffffff and cccccccccccc",
        ),
        (
            {"placement": PlacementFacts(cpus=(4,), threads_requested=2, effective={})},
            "cpus",
            "the cpus differs: 4 and 0,1",
        ),
        ({"wall_ms": (10, 10)}, "rounds", "they share 2 rounds, and an interval needs 3"),
    ],
)
def test_records_that_differ_in_more_than_the_system_are_refused_by_name(
    changes: dict[str, Any], field: str, words: str
) -> None:
    """Speed and energy have the same reason, which names the field and both values."""
    for compared in (ratios.speedup, ratios.energy_reduction):
        ratio = compared(a_record("fast", **changes), a_record())
        assert isinstance(ratio, NotComparable)
        assert ratio.field == field
        assert words in ratio.reason
        assert str(ratio) == f"refused, because {ratio.reason}"


def test_threads_may_differ_where_instances_do() -> None:
    """Two instances of one thread each run on the same CPUs as one instance of two."""
    system = a_record("twin", cell={"threads": 1, "instances": 2})
    assert isinstance(ratios.speedup(system, a_record()), Ratio)


def test_a_failed_record_is_refused() -> None:
    """The reason names the failed system or the failed reference."""
    assert ratios.speedup(a_failure("fast"), a_record()) == NotComparable("fast failed", "status")
    assert ratios.speedup(a_record(), a_failure("slow")) == NotComparable("slow failed", "status")


def test_rounds_of_different_slices_are_not_paired() -> None:
    """A round is paired with the other's visit to the same slice, or not at all."""
    system = a_record("fast")
    moved = tuple(replace(item, slice=9) for item in system.rounds)
    ratio = ratios.speedup(system.model_copy(update={"rounds": moved}), a_record())
    assert ratio == NotComparable("the slice of round 0 differs: 9 and 0", "slice")


def test_a_round_without_requests_is_refused() -> None:
    """Nothing is divided by zero."""
    ratio = ratios.speedup(a_record("fast", requests=0), a_record())
    assert ratio == NotComparable("round 0 has no requests or no duration", "rounds")


def test_an_energy_reduction_is_widened_by_both_meters_resolution() -> None:
    """20 J over 10 J, each with an uncertainty of 1 J: 2, at least 19/11, at most 21/9."""
    resolution = {"resolution_uj": 10**6}
    ratio = ratios.energy_reduction(
        a_record("fast", (10,) * 3, joules=(10,) * 3, reading=resolution),
        a_record(wall_ms=(10,) * 3, joules=(20,) * 3, reading=resolution),
    )
    assert isinstance(ratio, Ratio)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((19 / 11, 2, 21 / 9))
    assert ratio.quantity == "energy reduction"
    assert ratio.method == f"{WITHIN_ONE_PROCESS}, widened by the meter's resolution"


@pytest.mark.parametrize(
    ("reading", "field"),
    [
        ({"grade": "modelled"}, "grade"),
        ({"scope": "board"}, "scope"),
        ({"source": "another meter"}, "source"),
        ({"resolution_uj": 10**9}, "resolution"),
    ],
)
def test_unlike_energies_have_no_ratio(reading: dict[str, Any], field: str) -> None:
    """Grade, scope and source match, and every window holds more than the meter's resolution."""
    ratio = ratios.energy_reduction(a_record("fast", reading=reading), a_record())
    assert isinstance(ratio, NotComparable)
    assert ratio.field == field


def test_unavailable_energy_has_no_ratio_and_names_the_variant() -> None:
    """The speed-up is available; the reason names the variant whose meter failed."""
    system = a_record("fast", (10,) * 3, joules=(None,) * 3)
    reference = a_record(wall_ms=(10,) * 3)
    for ratio in (ratios.energy_reduction(system, reference), ratios.energy_reduction(reference, system)):
        assert ratio == NotComparable(
            "the energy of fast is unavailable: package-0: permission was denied", "energy"
        )
    assert isinstance(ratios.speedup(system, reference), Ratio)


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (1.50, 1.40, 1.60, "faster"),
        (0.50, 0.40, 0.60, "slower"),
        (1.50, 0.90, 1.60, "too noisy"),  # beyond the tolerance, but the interval holds 1
        (1.01, 1.005, 1.015, "no change"),  # surely above 1, and surely too little to matter
        (1.01, 1.005, 1.04, "no change"),  # surely above 1, and by less than the tolerance
        (1.00, 0.99, 1.01, "no change"),
        (1.00, 0.90, 1.10, "too noisy"),
        (0.985, 0.975, 0.995, "no change"),  # 1 / 1.02 is 0.9804
        (0.97, 0.96, 0.98, "slower"),
        (math.nan, math.nan, math.nan, "too noisy"),
        (1.50, math.nan, math.nan, "too noisy"),
    ],
)
def test_a_judgement_needs_both_an_interval_without_1_and_a_change_that_matters(
    value: float, low: float, high: float, verdict: str
) -> None:
    """The tolerance is 2 % and is kept with the verdict."""
    ratio = ratios.judge(a_ratio(value, low, high))
    assert (ratio.verdict, ratio.tolerance) == (verdict, 0.02)


def test_a_judgement_on_energy_has_verdicts_of_energy() -> None:
    """Less energy is not called faster."""
    assert ratios.judge(a_ratio(2, 1.9, 2.1, "energy reduction")).verdict == "less energy"
    assert ratios.judge(a_ratio(0.5, 0.4, 0.6, "energy reduction")).verdict == "more energy"
