"""Quantiles and intervals of counts are scipy's, and are had without its slowest module."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from harness.analysis.statistics.binomial import quantile, wilson_interval


@given(
    count=st.integers(1, 20_000),
    share=st.sampled_from([0.5, 0.9, 0.99, 0.999]),
    tail=st.sampled_from([0.025, 0.005]),
)
def test_quantiles_are_those_of_scipy(count: int, share: float, tail: float) -> None:
    """At both ends, for every percentile that is shown."""
    for probability in (tail, 1 - tail):
        assert quantile(probability, count, share) == int(binom.ppf(probability, count, share))


@given(count=st.integers(1, 20_000), part=st.floats(0, 1), confidence=st.sampled_from([0.95, 0.9]))
def test_intervals_of_a_share_are_those_of_scipy(count: int, part: float, confidence: float) -> None:
    """From none right to all right."""
    right = round(part * count)
    wanted = binomtest(right, count).proportion_ci(confidence_level=confidence, method="wilson")
    assert wilson_interval(right, count, confidence) == pytest.approx((wanted.low, wanted.high), abs=1e-15)


def test_none_right_and_all_right_reach_the_ends() -> None:
    """Exactly 0, and exactly 1."""
    assert wilson_interval(0, 9, 0.95)[0] == 0.0
    assert wilson_interval(9, 9, 0.95)[1] == 1.0


def test_neither_loads_scipys_statistics() -> None:
    """They take a second to load."""
    code = (
        "import sys\n"
        "from harness.analysis.statistics.binomial import quantile, wilson_interval\n"
        "quantile(0.5, 9, 0.5), wilson_interval(1, 2, 0.95)\n"
        "print('scipy.special' in sys.modules, 'scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"]
