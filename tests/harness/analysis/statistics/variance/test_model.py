import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.statistics.variance import model
from harness.analysis.statistics.variance.model import (
    KnownVariance,
    Location,
    Part,
    difference,
    location,
    locations,
)

ROUNDS = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=12)


def test_the_location_is_the_mean_of_the_trimmed_means_of_launches() -> None:
    """Ten rounds lose one on each side: 0 to 8 and 1000 have the mean 4.5; five rounds of 2 are kept."""
    apart = location([*range(9), 1000.0, *[2.0] * 5], [0] * 10 + [1] * 5)
    assert apart.value == pytest.approx((4.5 + 2.0) / 2)
    assert (apart.count, apart.launches) == (15, 2)


def test_independent_rounds_have_about_the_variance_of_a_mean() -> None:
    """2,000 series of 22 normal rounds: variance about 1 / 22, and a dozen degrees of freedom or more."""
    drawn = np.random.default_rng(0).standard_normal((2000, 22))
    found = locations([(row, [0] * 22, None) for row in drawn])
    assert np.median([each.variance for each in found]) == pytest.approx(1 / 22, rel=0.25)
    assert 12 < np.median([each.freedom for each in found]) < 25


def test_rounds_that_are_alike_count_as_fewer() -> None:
    """A drift within a launch: the variance is that of the long run, not of 22 independent rounds."""
    drift = np.repeat([0.0, 1.0], 11) + 0.1 * np.random.default_rng(0).standard_normal(22)
    mixed = np.random.default_rng(1).permutation(drift)
    slow, fast = location(drift, [0] * 22), location(mixed, [0] * 22)
    assert slow.value == pytest.approx(fast.value)
    assert slow.variance > 3 * fast.variance
    assert slow.freedom < fast.freedom / 3


def test_equal_rounds_have_no_variance() -> None:
    """What is equal to itself is certain, and different from anything else."""
    apart = location([2.0] * 7, [0] * 7)
    assert (apart.variance, apart.half_width(0.95), apart.p(2.0), apart.p()) == (0.0, 0.0, 1.0, 0.0)


def test_one_launch_of_an_unknown_host_is_within_one_process() -> None:
    """What another launch would change is then not in the interval, and it is said."""
    values = [1.0, 1.1, 0.9, 1.05, 0.95]
    alone = location(values, [0] * 5)
    known = location(values, [0] * 5, KnownVariance(0.01, 16))
    assert (alone.between, alone.covers) == ((), "rounds, within one process")
    assert known.between == (Part(0.01, 16),)
    assert known.variance == pytest.approx(alone.variance + 0.01)
    assert known.covers == "rounds, and what launches differ by here"


def test_launches_that_differ_more_than_their_rounds_say_so() -> None:
    """Means 0, 1, 2 have the variance 1, of their mean 1 / 3, on two degrees of freedom."""
    values = [0.0, 0.001, -0.001, 1.0, 1.001, 0.999, 2.0, 2.001, 1.999]
    apart = location(values, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert apart.value == pytest.approx(1.0)
    assert apart.variance == pytest.approx(1 / 3, rel=1e-3)
    assert apart.freedom == pytest.approx(2, rel=1e-2)
    t = 1 / math.sqrt(1 / 3)
    assert apart.p() == pytest.approx(2 * stats.t.sf(t, 2), rel=0.01)


def test_launches_are_pooled_with_what_is_known_unless_they_contradict_it() -> None:
    """Launch means -0.1 and 0.1 have the variance 0.02, on one degree of freedom, without noise of rounds.

    Known is 0.01 with 15 degrees: pooled (15 x 0.01 + 0.02) / 16 = 0.010625, of the mean of two half of it.
    Means -10 and 10 have the variance 200, which 0.01 does not explain: they count alone.
    """
    known = KnownVariance(0.01, 15)
    (pooled,) = location([-0.1] * 3 + [0.1] * 3, [0] * 3 + [1] * 3, known).between
    assert (pooled.variance, pooled.freedom) == (pytest.approx(0.010625 / 2), 16)
    (own,) = location([-10.0] * 3 + [10.0] * 3, [0] * 3 + [1] * 3, known).between
    assert (own.variance, own.freedom) == (pytest.approx(100), 1)


def test_degrees_of_freedom_are_those_of_satterthwaite() -> None:
    """Variances 3 and 1 of 3 and 1 degrees of freedom: the sum is 4, its freedom 16 / (9 / 3 + 1 / 1) = 4.

    t = 4 / 2 = 2 on 4 degrees of freedom, where the two-sided p-value is 0.1161.
    """
    apart = Location(4.0, Part(3.0, 3.0), (Part(1.0, 1.0),), 10, 2)
    assert apart.freedom == 4
    assert apart.p() == pytest.approx(0.116117, abs=1e-6)
    assert apart.half_width(1 - apart.p()) == pytest.approx(4.0)


def test_a_difference_of_two_runs_adds_their_parts_and_what_runs_differ_by() -> None:
    """4 + 9 of the rounds, 1 of a launch, 2 of the runs: 16."""
    before = Location(1.0, Part(4.0, 10), (Part(1.0, 5),), 10, 1)
    after = Location(3.0, Part(9.0, 10), (), 12, 1)
    apart = difference(after, before, Part(2.0, 4))
    assert (apart.value, apart.variance, apart.count) == (2.0, pytest.approx(16.0), 10)
    assert apart.rounds.freedom == pytest.approx(13**2 / (16 / 10 + 81 / 10))


@given(st.lists(ROUNDS, min_size=1, max_size=4), st.floats(0, 1))
def test_any_series_has_a_finite_interval_and_a_probability(
    launches: list[list[float]], known: float
) -> None:
    """Whatever the rounds, launches of any length, known or not."""
    values = [value for part in launches for value in part]
    of = [number for number, part in enumerate(launches) for _ in part]
    for variance in (None, KnownVariance(known, 8)):
        apart = location(values, of, variance)
        assert min(values) - 1e-9 <= apart.value <= max(values) + 1e-9
        assert 0 <= apart.half_width(0.95) < math.inf
        assert 0 <= apart.p() <= 1
        assert (apart.p() < 0.05) == (abs(apart.value) > apart.half_width(0.95)) or apart.variance == 0


@given(st.lists(st.tuples(ROUNDS, st.integers(0, 2)), min_size=1, max_size=6))
def test_series_computed_together_equal_each_alone(many: list[tuple[list[float], int]]) -> None:
    """Of few rounds and many, one launch and several, mixed."""
    series = [
        (
            values,
            [min(at, launches) for at in range(len(values))],
            KnownVariance(0.1, 4) if launches else None,
        )
        for values, launches in many
    ]
    for together, (values, launches, known) in zip(locations(series), series, strict=True):
        alone = location(values, launches, known)
        assert together.value == pytest.approx(alone.value)
        assert together.variance == pytest.approx(alone.variance, rel=1e-6, abs=1e-12)


def test_one_round_in_each_launch_has_the_variance_of_launches_alone() -> None:
    """1, 2, 3 in three launches: the variance of their mean is 1 / 3."""
    apart = location([1.0, 2.0, 3.0], [0, 1, 2])
    assert apart.rounds.variance == 0.0
    assert apart.variance == pytest.approx(1 / 3)


def test_few_rounds_do_not_estimate_a_correlation() -> None:
    """Three rounds that rise: with what null tests show of neighbours they are worth about three."""
    apart = location([1.0, 2.0, 3.0], [0] * 3)
    assert model.FEW_ROUNDS > 3
    assert apart.variance == pytest.approx(1 / 3, rel=0.5)


def test_a_variance_that_is_known_exactly_leaves_a_normal_distribution() -> None:
    """Rounds that are equal, and the resolution of a meter: 1.96 standard errors are 95 %."""
    apart = Location(1.0, Part(0.0, 3.0), (Part(4.0, model.EXACTLY),), 10, 1)
    assert apart.half_width(0.95) == pytest.approx(1.959964 * 2, rel=1e-4)
    assert Location(1.0, Part(0.0, 3.0), (), 10, 1).freedom == model.EXACTLY
