"""One server with Poisson arrivals: the exact latency is that of formulas, and of a long simulated queue."""

import math

import numpy as np
import pytest

from harness.analysis.capacity.queueing.single_server import single_server_latency
from harness.analysis.capacity.queueing.waiting import waits_single

EXPONENTIAL = -np.log(1 - (np.arange(20_000) + 0.5) / 20_000)


@pytest.mark.parametrize("busy", [0.05, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_exponential_times_give_an_exponential_latency(busy: float, share: float) -> None:
    """M/M/1: the quantile is -ln(1 - share) / (1 - load)."""
    latency = single_server_latency(EXPONENTIAL, busy).quantiles(np.array([share]))[0]
    assert latency == pytest.approx(-math.log(1 - share) / (1 - busy), rel=0.005, abs=0.01)


def crommelin(load: float, time: float) -> float:
    """Return the share of waits in M/D/1 that are at most `time` services (Crommelin 1932)."""
    return (1 - load) * sum(
        math.exp(-load * (k - time)) * (load * (k - time)) ** k / math.factorial(k)
        for k in range(math.floor(time) + 1)
    )


@pytest.mark.parametrize("load", [0.3, 0.6, 0.85])
def test_constant_times_give_crommelins_waits(load: float) -> None:
    """M/D/1 at several times."""
    distribution = single_server_latency(np.ones(3), load)
    for time in (0.0, 0.5, 1.0, 2.5, 6.0):
        at = round((1 + time) / distribution.step)
        assert distribution.shares[at] == pytest.approx(crommelin(load, time), abs=0.005)


def test_the_mean_is_that_of_pollaczek_and_khinchine() -> None:
    """A mixture of short and long times at 70 %."""
    service = np.array([0.5, 0.5, 0.5, 2.5])
    distribution = single_server_latency(service, 0.7)
    mean = distribution.step * float((1 - distribution.shares / distribution.shares[-1]).sum())
    expected = service.mean() + 0.7 * (service**2).mean() / (2 * (1 - 0.7 * service.mean()))
    assert mean == pytest.approx(expected, rel=0.002)


def test_the_latency_is_that_of_a_queue_that_is_followed() -> None:
    """400,000 requests by Lindley's recursion, at 50 %."""
    service, rng = np.array([0.1, 0.2, 3.0]), np.random.default_rng(5)
    drawn = rng.choice(service, (1, 400_000))
    latencies = waits_single(rng.exponential(2.2, drawn.shape), drawn) + drawn
    computed = single_server_latency(service, 1 / 2.2).quantiles(np.array([0.5, 0.9, 0.99]))
    assert computed == pytest.approx(np.percentile(latencies, [50, 90, 99]), rel=0.03, abs=0.02)


def test_one_time_that_is_far_longer_than_all_others_is_covered() -> None:
    """100,000 requests of 10 us, and one of half a second: the mean is that of Pollaczek and Khinchine."""
    service = np.append(np.full(100_000, 1e-5), 0.5)
    rate = 0.1 / service.mean()
    distribution = single_server_latency(service, rate)
    mean = distribution.step * float((1 - distribution.shares / distribution.shares[-1]).sum())
    expected = service.mean() + rate * (service**2).mean() / (2 * 0.9)
    assert mean == pytest.approx(expected, rel=0.01)
    assert distribution.quantiles(np.array([0.5]))[0] == pytest.approx(1e-5, rel=0.2)
