import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.statistics.significance import (
    LAUNCH_FREEDOM,
    LAUNCH_SPREAD,
    p_value,
    trimmed_mean,
    variance_between_launches,
    variance_inflation,
)

ONE = [0] * 40


def test_a_p_value_is_students_on_logarithms_with_the_allowance_for_launches() -> None:
    """Logarithms 0.1, 0.2, 0.3, 0.2, 0.1: the outer ones are not moved in, of five none is a tenth.

    Mean 0.18, variance 0.028 / 4 = 0.007, of the mean 0.0014; ranks about their middle -1.5, 0.5, 2, 0.5,
    -1.5 have products of neighbours of -0.75, 1, 1, -0.75: 0.125 on average, squares 9 / 5 = 1.8, so r =
    0.0694 and the variance grows by 1.1493, to 0.001609; plus 0.01^2 for the launch 0.001709. t^2 = 0.0324
    / 0.001709 = 18.958 on 4 degrees of freedom, where the two-sided p-value is 1 - (3 u - u^3) / 2 with u =
    t / sqrt(4 + t^2).
    """
    within = 0.0014 * (1 + 0.125 / 1.8) / (1 - 0.125 / 1.8)
    u = math.sqrt((square := 0.0324 / (within + 0.0001)) / (4 + square))
    wanted = 1 - (3 * u - u**3) / 2
    assert p_value(np.exp([0.1, 0.2, 0.3, 0.2, 0.1]), ONE[:5]) == pytest.approx(wanted)


def test_fewer_than_five_rounds_may_all_be_disturbed_alike() -> None:
    """Logarithms 0.1, 0.2, 0.3: variance of the mean 0.01 / 3, as with a correlation of 0.8 times nine: 0.03.

    t^2 = 0.04 / 0.0301 = 1.32890 on 2 degrees of freedom: 1 - sqrt(1.32890 / 3.32890) = 0.36818. What is
    five times as fast is detected all the same.
    """
    wanted = 1 - math.sqrt(1.3289037 / 3.3289037)
    assert p_value(np.exp([0.1, 0.2, 0.3]), ONE[:3]) == pytest.approx(wanted)
    assert p_value([4.8, 5.0, 5.2], ONE[:3]) < 0.01


def test_equal_rounds_differ_surely_only_beyond_what_launches_may() -> None:
    """Without any spread 5 times as fast is beyond warning, and 1 % more is what another launch may show."""
    assert p_value([5.0] * 7, ONE[:7]) < 1e-9
    assert p_value([1.01] * 7, ONE[:7]) > 0.3
    assert p_value([1.0] * 7, ONE[:7]) == 1.0


def test_one_wild_round_of_eleven_is_moved_in() -> None:
    """Ten rounds at 5 % and one at 10 times: still a difference, and no more sure with the wild one."""
    steady = [1.05 + 0.001 * (at % 3) for at in range(10)]
    assert p_value([*steady, 10.0], ONE[:11]) < 0.01
    middle, variance, freedom = trimmed_mean(np.log([*steady, 10.0]))
    # one of eleven is cut on each side: nine remain
    assert (freedom, round(middle, 3)) == (8, 0.05)
    assert variance < 1e-6


def test_neighbours_that_are_alike_widen_the_error() -> None:
    """Of 1, 2, ..., 10 ranks about their mean are -4.5, -3.5, ..., 4.5.

    The nine products of neighbours are 15.75, 8.75, 3.75, 0.75, -0.25 and back: 57.75 / 9 = 6.4167 on
    average; squares 82.5 / 10 = 8.25: r = 7 / 9, and (1 + 7/9) / (1 - 7/9) = 8.
    """
    rising = np.arange(10.0)
    assert variance_inflation(rising, np.zeros(10, dtype=np.int64)) == pytest.approx(8)
    assert variance_inflation(rising[[0, 9, 1, 8, 2, 7, 3, 6, 4, 5]], np.zeros(10, dtype=np.int64)) == 1
    # each round a launch of its own: no round has a neighbour
    assert variance_inflation(rising, np.arange(10)) == 1


def test_three_launches_that_differ_say_so_themselves() -> None:
    """Medians 0, 0.1, 0.2 have variance 0.01: a third is in the mean. Two launches get the allowance."""
    values = np.array([0.0, 0.0, 0.1, 0.1, 0.2, 0.2])
    assert variance_between_launches(values, np.array([0, 0, 1, 1, 2, 2])) == pytest.approx((0.01 / 3, 2))
    allowed = (LAUNCH_SPREAD**2 / 2, LAUNCH_FREEDOM)
    assert variance_between_launches(values, np.array([0, 0, 0, 1, 1, 1])) == pytest.approx(allowed)


def test_what_launches_show_and_what_is_allowed_count_together_if_the_one_explains_the_other() -> None:
    """Medians 0, 1.2, 2.4 % show 1.44 times the allowance, 0, 1.8, 3.6 % 3.24 times; F(2, 113) is 2.35."""
    launches = np.array([0, 1, 2])
    pooled = (113 * 1e-4 + 2 * 1.44e-4) / 115
    assert variance_between_launches(np.array([0, 0.012, 0.024]), launches) == pytest.approx(
        (pooled / 3, 115)
    )
    assert variance_between_launches(np.array([0, 0.018, 0.036]), launches) == pytest.approx((3.24e-4 / 3, 2))
    assert variance_between_launches(np.array([0, 0.009, 0.018]), launches) == pytest.approx((1e-4 / 3, 113))


@given(
    st.lists(st.floats(0.01, 100).map(lambda ratio: round(ratio, 3)), min_size=1, max_size=30),
    st.integers(1, 4),
)
def test_a_p_value_is_a_probability_and_the_same_from_both_sides(ratios: list[float], launches: int) -> None:
    """Whatever the rounds were: reference over system or system over reference is one question."""
    of = [at % launches for at in range(len(ratios))]
    probability = p_value(ratios, of)
    assert 0 <= probability <= 1
    assert probability == pytest.approx(p_value([1 / ratio for ratio in ratios], of), abs=1e-9)


def test_a_single_round_has_a_p_value_of_1() -> None:
    """One round has no variance."""
    assert p_value([3.0], [0]) == 1.0


def test_false_alarms_of_drawn_noise_are_no_more_than_stated() -> None:
    """Normal, heavy-tailed and neighbouring noise of 5 %, 11 rounds each: at 1 % at most 1.5 % of 1,000."""
    draw = np.random.default_rng(5)
    steps = draw.standard_normal((1000, 12))
    kinds = {
        "normal": steps[:, 1:],
        "heavy": draw.standard_t(2, (1000, 11)),
        "neighbours": steps[:, 1:] + 0.5 * steps[:, :-1],
    }
    for name, noise in kinds.items():
        alarms = sum(p_value(np.exp(0.05 * row), ONE[:11]) <= 0.01 for row in noise)
        assert alarms <= 15, name
        assert math.isfinite(alarms)
