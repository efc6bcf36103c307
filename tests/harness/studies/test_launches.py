from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from null_traces import a_trace

from harness.analysis.statistics.significance import LAUNCH_FREEDOM, LAUNCH_SPREAD
from harness.cli.measure.null_traces import of_launches
from harness.studies.launches import LaunchVariance, launch_variance, pooled
from harness.studies.traces import Trace, load_all

COMMITTED = Path(__file__).parents[3] / "results" / "traces"


def _of_launches(ratios: tuple[float, ...], noise: float = 0.0) -> Trace:
    """Return a trace with five rounds in each launch, whose second process takes `ratio` times as long."""
    trace = a_trace(noise, count=5 * len(ratios))
    asked = tuple(
        (one, tuple(time * ratios[at // 5] for time in other))
        for at, (one, other) in enumerate(trace.asked_us)
    )
    return replace(trace, asked_us=asked, launch=tuple(at // 5 for at in range(len(asked))))


def test_the_spread_of_launches_is_that_of_their_ratios() -> None:
    """Logarithms -0.01, 0 and 0.01 have a standard deviation of 0.01, without noise."""
    variance = launch_variance(_of_launches((float(np.exp(-0.01)), 1.0, float(np.exp(0.01)))))
    assert variance is not None
    assert (variance.launches, variance.spread, variance.noise) == pytest.approx((3, 0.01, 0.0))


def test_variance_that_noise_explains_is_not_a_difference_of_launches() -> None:
    """Equal launches on a noisy machine differ about as much as the noise of their rounds predicts."""
    variance = launch_variance(_of_launches((1.0,) * 12, noise=0.01))
    assert variance is not None
    assert variance.noise == pytest.approx(variance.seen, rel=0.8)
    assert variance.spread < 0.01


def test_a_launch_without_a_mode_is_left_out() -> None:
    """One of six launches has none: five remain, with a finite variance."""
    trace = _of_launches((1.0,) * 6)
    nowhere = tuple(
        (one, tuple(float(2**at) * time for at, time in enumerate(other))) for one, other in trace.asked_us
    )
    variance = launch_variance(replace(trace, asked_us=(*trace.asked_us[:25], *nowhere[25:])))
    assert variance is not None
    assert (variance.launches, variance.all, variance.spread) == (5, 6, 0.0)


def test_a_launch_in_which_the_machine_had_two_speeds_is_left_out() -> None:
    """In one of six, every other visit of one side takes half as long again: pairs agree, rounds do not."""
    trace = _of_launches((1.0,) * 6)
    slow = [
        (one, round(other * 1.5)) if at % 2 else (one, other) for at, (one, other) in enumerate(trace.wall_ns)
    ]
    variance = launch_variance(replace(trace, wall_ns=(*trace.wall_ns[:25], *slow[25:])))
    assert variance is not None
    assert (variance.launches, variance.all) == (5, 6)


def test_traces_are_pooled_by_their_launches() -> None:
    """Variances 0.0004 of 3 launches and 0.0001 of 5, less noise of 0.0001: (2 x 0.0003 + 0) / 6 = 0.0001."""
    variance = [
        LaunchVariance("a", "cb", 3, 12, 0.0004, 0.0001),
        LaunchVariance("b", "cb", 5, 5, 0.0001, 0.0001),
    ]
    spread, most, freedom = pooled(variance)
    assert (spread, freedom) == pytest.approx((0.01, 6))
    # 5 % of chi-square with 6 degrees of freedom is 1.6354: 0.0002 x 6 / 1.6354 - 0.0001
    assert most == pytest.approx((0.0002 * 6 / 1.63538 - 0.0001) ** 0.5, rel=1e-4)


def test_a_single_launch_has_no_variance() -> None:
    """Nor has a launch of one round, which has no noise estimate."""
    assert launch_variance(a_trace(0.01)) is None
    assert of_launches([a_trace(0.01)])[0].startswith("no trace has several launches")


def test_the_allowance_is_the_bound_of_the_committed_traces_rounded_up() -> None:
    """At least ten launches of several variants; verdicts use the figure that the command prints."""
    variances = [variance for trace in load_all(COMMITTED) if (variance := launch_variance(trace))]
    assert len({variance.variant for variance in variances}) >= 2
    assert sum(variance.launches for variance in variances) >= 10
    _, bound, freedom = pooled(variances)
    assert bound <= LAUNCH_SPREAD
    assert freedom >= LAUNCH_FREEDOM
    assert f"at most {100 * bound:.2f} %" in of_launches(load_all(COMMITTED))[-2]
