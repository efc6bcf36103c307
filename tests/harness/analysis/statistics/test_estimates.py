import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_reading, a_record, rounds
from scipy.stats import binom

from harness.analysis.statistics import estimates
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Percentile
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example

MS = 1_000_000


BOOLQ, CB = get_task("boolq"), get_task("cb")


def having(gold: list[str], clusters: int = 0) -> list[Example]:
    """Return an example without text for each label, dealt out to clusters in turn where there are any."""
    return [
        Example(str(at), (), (label,), cluster=str(at % clusters) if clusters else "")
        for at, label in enumerate(gold)
    ]


@pytest.mark.parametrize("p", estimates.MINIMUM_REQUESTS)
def test_minimum_requests_are_the_smallest_that_hold_the_claim(p: float) -> None:
    """One slow request at most has a probability of at most 1 % at the minimum, and more just below it."""
    needed, slow = estimates.MINIMUM_REQUESTS[p], 1 - p / 100
    assert binom.cdf(1, needed, slow) <= 0.01 < binom.cdf(1, needed - 1, slow)


def test_a_percentile_of_too_few_requests_is_absent_with_the_number_it_needs() -> None:
    """63 requests are too few for a p90, 64 are enough; the fields are those of the record."""
    absent = estimates.percentile(range(63), 90)
    assert absent == {"value_ns": None, "low_ns": None, "high_ns": None, "needed": 64, "have": 63}
    assert Percentile(**absent).have == 63
    assert estimates.percentile(range(64), 90)["value_ns"] is not None


def test_a_percentile_is_the_sample_of_its_rank_between_two_order_statistics() -> None:
    """Of 1..100 the median is 50; P(40 <= Binomial(100, 1/2) <= 60) is 0.965, so the ranks are 40 and 61."""
    estimate = estimates.percentile(range(100, 0, -1), 50)
    assert (estimate["value_ns"], estimate["low_ns"], estimate["high_ns"]) == (50, 40, 61)
    assert estimates.percentile(range(1, 101), 90)["value_ns"] == 90


def test_repeats_of_an_example_do_not_count_as_requests() -> None:
    """Twenty examples, five times each, give a p50 with the ranks of twenty, and not a p90.

    P(Binomial(20, 1/2) <= 5) is 0.021 and P(<= 6) is 0.058: ranks 6 and 15 of the examples; five copies each
    make them samples 26 and 75, which are the first copy of example 6 and the last of example 15.
    """
    samples = [example for example in range(1, 21) for _ in range(5)]
    estimate = estimates.percentile(samples, 50, distinct=20)
    assert (estimate["value_ns"], estimate["low_ns"], estimate["high_ns"], estimate["have"]) == (
        10,
        6,
        15,
        20,
    )
    assert estimates.percentile(samples, 90, distinct=20)["value_ns"] is None


@given(
    st.lists(st.integers(1, 10**12), min_size=64, max_size=200),
    st.sampled_from([50, 90]),
    st.integers(1, 300),
)
def test_a_percentile_lies_in_its_interval_whatever_the_order(
    samples: list[int], p: float, distinct: int
) -> None:
    """The order is low <= value <= high; each is a sample; the order of samples has no effect."""
    estimate = estimates.percentile(samples, p, distinct=distinct)
    assert estimate == estimates.percentile(sorted(samples), p, distinct=distinct)
    low, value, high = estimate["low_ns"], estimate["value_ns"], estimate["high_ns"]
    if low is None or value is None or high is None:
        assert estimate["have"] < estimate["needed"]
    else:
        assert low <= value <= high
        assert {low, value, high} <= set(map(float, samples))


def test_time_per_request_is_the_mean_over_rounds_on_the_log_scale() -> None:
    """Rounds of 100 requests in 200, 400 and 800 ms take 2, 4 and 8 ms a request: 4 ms."""
    estimate = estimates.time_per_request(rounds([200, 400, 800]))
    assert isinstance(estimate, Estimate)
    assert estimate.value == pytest.approx(4 * MS)
    assert estimate.count == 3
    assert estimate.low < 4 * MS < estimate.high
    assert estimate.value / estimate.low == pytest.approx(estimate.high / estimate.value)
    assert estimate.method == "trimmed mean of rounds, t interval over rounds, within one process"


def test_equal_rounds_have_an_interval_without_width() -> None:
    """Within one process: what another launch would change is not known here."""
    estimate = estimates.time_per_request(rounds([500] * 7))
    assert isinstance(estimate, Estimate)
    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((5 * MS, 5 * MS, 5 * MS))


def test_values_that_are_not_positive_are_averaged_as_they_are() -> None:
    """A window in which a coarse counter did not move holds 0 J: the mean is 2, and no end below 0."""
    estimate = estimates.mean_over_rounds([0.0, 2.0, 4.0], [0, 0, 0])
    assert estimate.value == 2.0
    assert estimate.low == 0.0
    assert estimate.high > 4.0


@given(
    st.lists(
        st.integers(3, 12).flatmap(
            lambda count: st.tuples(
                st.lists(st.floats(1e-3, 1e9), min_size=count, max_size=count),
                st.lists(st.integers(0, 2), min_size=count, max_size=count).map(sorted),
                st.none(),
            )
        ),
        max_size=6,
    )
)
def test_means_computed_together_equal_each_alone(many: list[estimates.RoundValues]) -> None:
    """Of few rounds and many, one launch and several, mixed."""
    for together, (values, launches, _) in zip(estimates.means_over_rounds(many), many, strict=True):
        alone = estimates.mean_over_rounds(values, launches)
        assert (together.value, together.low, together.high) == pytest.approx(
            (alone.value, alone.low, alone.high), rel=1e-6
        )


@pytest.mark.parametrize("count", [5, 11, 22])
def test_intervals_have_about_their_stated_coverage(count: int) -> None:
    """With normal noise the interval holds the true value in 92 to 99 % of 400 runs."""
    random = np.random.default_rng(7)
    draws = np.exp(random.normal(0.0, 0.02, size=(400, count)))
    found = estimates.means_over_rounds([(draw, [0] * count, None) for draw in draws])
    assert 0.92 <= np.mean([item.low <= 1 <= item.high for item in found]) <= 0.99


def test_launches_that_differ_widen_the_interval_beyond_that_of_their_rounds() -> None:
    """Three launches at 5, 6 and 7 ms, each steady: only the launches differ."""
    times = [500] * 5 + [600] * 5 + [700] * 5
    apart = estimates.time_per_request(rounds(times, launches=3))
    assert isinstance(apart, Estimate)
    assert apart.low < 5 * MS < 7 * MS < apart.high
    assert apart.method == "trimmed mean of rounds, t interval over rounds and launches"


def test_launches_may_hold_unequal_numbers_of_rounds() -> None:
    """A launch that was interrupted counts as much as a whole one."""
    estimate = estimates.mean_over_rounds([5.0, 5.0, 5.0, 20.0], [0, 0, 0, 1])
    assert (estimate.value, estimate.count) == (pytest.approx(10.0), 4)


@pytest.mark.parametrize(
    ("wall_ms", "reason"),
    [
        ([], "no round was measured, and an interval needs 3"),
        ([500], "only 1 round was measured, and an interval needs 3"),
        ([500, 500], "only 2 rounds were measured, and an interval needs 3"),
        ([500, 0, 500], "round 1 has no requests or no duration"),
    ],
)
def test_an_unavailable_estimate_has_a_reason(wall_ms: list[float], reason: str) -> None:
    """Time, throughput and energy are unavailable for the same reason."""
    made = rounds(wall_ms)
    for estimate in (
        estimates.time_per_request(made),
        estimates.throughput(made),
        estimates.energy_per_request(made),
    ):
        assert estimate == Unavailable(reason)
        assert str(estimate) == f"unavailable, because {reason}"


def test_throughput_is_the_inverse_of_the_time_per_request() -> None:
    """Rounds of 2, 4 and 8 ms a request are 500, 250 and 125 a second; both ends change places."""
    rate, time = (
        estimates.throughput(rounds([200, 400, 800])),
        estimates.time_per_request(rounds([200, 400, 800])),
    )
    assert isinstance(rate, Estimate)
    assert isinstance(time, Estimate)
    assert rate.value == pytest.approx(250)
    assert (rate.low, rate.high) == pytest.approx((1e9 / time.high, 1e9 / time.low))


def test_energy_per_request_is_the_mean_widened_by_the_resolution() -> None:
    """10 J over 100 requests are 100,000 uJ each; 1 J of resolution is 10,000 uJ each, up and down."""
    estimate = estimates.energy_per_request(
        rounds([500] * 3, joules=[10] * 3, reading={"resolution_uj": 10**6})
    )
    assert isinstance(estimate, EnergyEstimate)
    assert (estimate.grade, estimate.scope, estimate.source) == ("measured", "package", "powercap")
    energy = estimate.microjoules
    assert (energy.low, energy.value, energy.high) == pytest.approx((90_000, 100_000, 110_000))
    assert energy.method.endswith("widened by the meter's resolution")


def test_energy_below_the_resolution_is_at_least_0() -> None:
    """1 J read with a resolution of 2 J is at least 0, at most 3 J."""
    estimate = estimates.energy_per_request(
        rounds([500] * 3, joules=[1] * 3, reading={"resolution_uj": 2 * 10**6})
    )
    assert isinstance(estimate, EnergyEstimate)
    assert (estimate.microjoules.low, estimate.microjoules.high) == pytest.approx((0, 30_000))


def test_zones_are_summed_before_they_are_divided_by_requests() -> None:
    """6 J of package and 2 J of DRAM over 100 requests are 80,000 uJ of package+dram each."""
    zones = (a_reading(6 * 10**6), a_reading(2 * 10**6, zone="dram-0", scope="dram"))
    made = [replace(item, readings=zones) for item in rounds([500] * 3)]
    estimate = estimates.energy_per_request(made)
    assert isinstance(estimate, EnergyEstimate)
    assert estimate.microjoules.value == pytest.approx(80_000)
    assert estimate.scope == "package+dram"


def test_one_round_without_energy_makes_all_unavailable() -> None:
    """Rounds must not be selected by whether the meter worked."""
    estimate = estimates.energy_per_request(rounds([500] * 4, joules=[10, 10, None, 10]))
    assert estimate == Unavailable("package-0: permission was denied")


def test_rounds_of_different_grades_have_no_energy_in_common() -> None:
    """A measured and a modelled round are never one estimate."""
    made = rounds([500] * 3) + rounds([500], reading={"grade": "modelled"})
    estimate = estimates.energy_per_request(made)
    assert isinstance(estimate, Unavailable)
    assert "different grades" in estimate.reason


def test_a_window_with_readings_of_two_grades_is_unavailable() -> None:
    """One window may not be half measured and half modelled."""
    mixed = (a_reading(10), a_reading(10, grade="modelled", zone="dram-0"))
    made = [replace(item, readings=mixed) for item in rounds([500] * 3)]
    assert estimates.energy_per_request(made) == Unavailable("readings of different grades are never summed")


def test_no_meter_is_no_energy() -> None:
    """A record without readings has unavailable energy, not zero."""
    made = [replace(item, readings=()) for item in rounds([500] * 3)]
    assert estimates.energy_per_request(made) == Unavailable("no meter was read")


def test_accuracy_has_wilsons_interval() -> None:
    """8 of 10: centre (0.8 + 3.8415/20) / 1.38415 = 0.71674, half-width 0.22658."""
    estimate = estimates.quality(BOOLQ, having(["true"] * 10), ["true"] * 8 + ["false"] * 2)
    accuracy = estimate["accuracy"]
    assert accuracy.value == 0.8
    assert (accuracy.low, accuracy.high) == pytest.approx((0.49016, 0.94332), abs=1e-5)
    assert accuracy.count == 10


def test_other_metrics_are_bootstrapped_over_examples_and_seeded() -> None:
    """A task may have two metrics; the same seed gives the same interval, and the value lies in it."""
    gold = ["entailment"] * 20 + ["contradiction"] * 15 + ["neutral"] * 5
    answers = ["entailment"] * 18 + ["contradiction"] * 17 + ["entailment"] * 5
    estimate = estimates.quality(CB, having(gold), answers, seed=3)
    assert list(estimate) == ["accuracy", "macro_f1"]
    macro = estimate["macro_f1"]
    assert macro == estimates.quality(CB, having(gold), answers, seed=3)["macro_f1"]
    assert 0 < macro.low < macro.value < macro.high < 1
    assert macro.method == "official score, bootstrap over examples"


def test_a_perfect_score_is_not_certain() -> None:
    """Resamples of 30 right answers have no spread; Wilson's lower end, 30 / (30 + 3.8415), is 0.886."""
    gold = ["entailment", "contradiction", "neutral"] * 10
    macro = estimates.quality(CB, having(gold), gold)["macro_f1"]
    assert (macro.value, macro.high) == (1, 1)
    assert macro.low == pytest.approx(30 / (30 + 1.959964**2), abs=1e-5)


def test_dependent_examples_are_resampled_as_clusters() -> None:
    """Ten passages of four questions, answered all right or all wrong: ten units, not forty.

    Seven of ten passages are right. Drawing ten with replacement the share has a standard deviation of
    sqrt(0.7 x 0.3 / 10) = 0.145, where forty questions on their own would have 0.072.
    """
    examples = having(["true"] * 40, clusters=10)
    answers = ["true" if at % 10 < 7 else "false" for at in range(40)]
    estimate = estimates.quality(BOOLQ, examples, answers)["accuracy"]
    assert (estimate.value, estimate.count) == (0.7, 10)
    assert estimate.method == "official score, bootstrap over clusters of examples"
    # 2 x 1.96 standard deviations
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.145, abs=0.07)
    alone = estimates.quality(BOOLQ, having(["true"] * 40), answers)["accuracy"]
    assert alone.high - alone.low < estimate.high - estimate.low


def test_a_metric_that_some_resamples_cannot_give_has_the_interval_of_the_others() -> None:
    """One complete minimal pair among ten halves of pairs: a third of the draws hold no pair at all."""
    task = get_task("ax-g")
    clusters = ["whole", "whole", *map(str, range(10))]
    examples = [Example(str(at), (), ("entailment",), cluster=name) for at, name in enumerate(clusters)]
    estimate = estimates.quality(task, examples, ["entailment"] * 12)
    assert estimate["gender_parity"].value == 1
    without = estimates.quality(task, examples[1:], ["entailment"] * 11)
    assert list(without) == ["accuracy"]


@pytest.mark.parametrize(("gold", "answers"), [([], []), (["true"], [])])
def test_scores_need_an_answer_to_every_example(gold: list[str], answers: list[str]) -> None:
    """No examples, or unequal numbers, are an error."""
    with pytest.raises(ValueError, match=r"answers to \d labelled examples"):
        estimates.quality(BOOLQ, having(gold), answers)


def test_robust_spread_is_the_scaled_median_deviation_over_the_median() -> None:
    """1..5: the median is 3, the deviations are 2 1 0 1 2 with median 1: 1.4826 / 3."""
    assert estimates.robust_spread([1, 2, 3, 4, 5]) == pytest.approx(1.4826 / 3)


@given(st.lists(st.floats(1, 1e9), min_size=3, max_size=20), st.integers(1, 3))
def test_every_interval_is_finite_positive_and_holds_its_value(values: list[float], launches: int) -> None:
    """For any rounds and launches."""
    estimate = estimates.mean_over_rounds(values, [at % launches for at in range(len(values))])
    assert 0 <= estimate.low <= estimate.value <= estimate.high < math.inf


def test_a_record_estimates_the_same_twice() -> None:
    """Resampling is seeded: one record, one interval."""
    record = a_record()
    assert estimates.time_per_request(record.rounds) == estimates.time_per_request(record.rounds)
