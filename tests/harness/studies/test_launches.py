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


def test_what_launches_show_is_the_spread_of_their_medians() -> None:
    """Logarithms -0.01, 0 and 0.01 have a standard deviation of 0.01; without noise all is theirs."""
    found = launch_variance(_of_launches((float(np.exp(-0.01)), 1.0, float(np.exp(0.01)))))
    assert found is not None
    assert (found.launches, found.spread, found.noise) == pytest.approx((3, 0.01, 0.0))


def test_what_noise_explains_is_no_difference_of_launches() -> None:
    """Equal launches on a noisy machine differ, about as much as their rounds say they would."""
    found = launch_variance(_of_launches((1.0,) * 12, noise=0.01))
    assert found is not None
    assert found.noise == pytest.approx(found.seen, rel=0.8)
    assert found.spread < 0.01


def test_a_launch_that_its_rounds_do_not_tell_is_left_out() -> None:
    """One of six launches agrees nowhere: five are left, and what they show is finite."""
    trace = _of_launches((1.0,) * 6)
    nowhere = tuple(
        (one, tuple(float(2**at) * time for at, time in enumerate(other))) for one, other in trace.asked_us
    )
    found = launch_variance(replace(trace, asked_us=(*trace.asked_us[:25], *nowhere[25:])))
    assert found is not None
    assert (found.launches, found.all, found.spread) == (5, 6, 0.0)


def test_a_launch_in_which_the_machine_had_two_speeds_is_left_out() -> None:
    """In one of six, every other visit of one side takes half as long again: pairs agree, rounds do not."""
    trace = _of_launches((1.0,) * 6)
    slow = [
        (one, round(other * 1.5)) if at % 2 else (one, other) for at, (one, other) in enumerate(trace.wall_ns)
    ]
    found = launch_variance(replace(trace, wall_ns=(*trace.wall_ns[:25], *slow[25:])))
    assert found is not None
    assert (found.launches, found.all) == (5, 6)


def test_traces_are_pooled_by_their_launches() -> None:
    """Variances 0.0004 of 3 launches and 0.0001 of 5, less noise of 0.0001: (2 x 0.0003 + 0) / 6 = 0.0001."""
    found = [
        LaunchVariance("a", "cb", 3, 12, 0.0004, 0.0001),
        LaunchVariance("b", "cb", 5, 5, 0.0001, 0.0001),
    ]
    spread, most, freedom = pooled(found)
    assert (spread, freedom) == pytest.approx((0.01, 6))
    # 5 % of chi-square with 6 degrees of freedom is 1.6354: 0.0002 x 6 / 1.6354 - 0.0001
    assert most == pytest.approx((0.0002 * 6 / 1.63538 - 0.0001) ** 0.5, rel=1e-4)


def test_a_single_launch_says_nothing_of_another() -> None:
    """Nor does a launch of one round, which tells no noise."""
    assert launch_variance(a_trace(0.01)) is None
    assert of_launches([a_trace(0.01)])[0].startswith("no trace has several launches")


def test_the_allowance_is_what_committed_traces_show_rounded_up() -> None:
    """At least ten launches of several variants; the figure of the command is the one that verdicts use."""
    found = [each for trace in load_all(COMMITTED) if (each := launch_variance(trace))]
    assert len({each.variant for each in found}) >= 2
    assert sum(each.launches for each in found) >= 10
    _, most, freedom = pooled(found)
    assert most <= LAUNCH_SPREAD
    assert freedom >= LAUNCH_FREEDOM
    assert f"at most {100 * most:.2f} %" in of_launches(load_all(COMMITTED))[-2]
