"""Simulated queues agree with those that theory solves, within the errors that they report and 2 %."""

import math
from itertools import pairwise

import numpy as np
import pytest

from harness.analysis.capacity.queueing.dispatch import DISPATCHES, Dispatch
from harness.analysis.capacity.queueing.steady_state import Servers, steady_latency
from harness.common.errors import UsageError

EXPONENTIAL = -np.log(1 - (np.arange(20_000) + 0.5) / 20_000)
"""Quantiles of the exponential distribution of mean 1."""


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a request waits, with `load` in Erlang (Erlang 1917)."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) / (1 - load / servers)
    return last / (sum(terms) + last)


def sojourn_quantile(servers: int, load: float, share: float) -> float:
    """Return the quantile of wait plus service of M/M/c with mean service time 1, by bisection."""
    waits, drain = erlang_c(servers, load), servers - load

    def beyond(time: float) -> float:
        if math.isclose(drain, 1):
            return math.exp(-time) * (1 + waits * time)
        mixed = (drain * math.exp(-time) - math.exp(-drain * time)) / (drain - 1)
        return (1 - waits) * math.exp(-time) + waits * mixed

    low, high = 0.0, 1000.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 1 - share else (low, middle)
    return low


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.5), (1, 0.8), (2, 0.8), (4, 0.7)])
def test_p99_is_that_of_markovian_queues(servers: int, busy: float) -> None:
    """M/M/1 and M/M/c: for one server the latency is exponential with rate 1 - load."""
    requests = (
        8_000_000 if servers * busy == 0.8 else 4_000_000
    )  # the longer the queue, the longer its memory
    latency = steady_latency(EXPONENTIAL, servers * busy, servers, requests=requests)
    expected = sojourn_quantile(servers, servers * busy, 0.99)
    if servers == 1:
        assert expected == pytest.approx(math.log(100) / (1 - busy))
    assert latency.percentile(99) == pytest.approx(expected, rel=0.02)
    assert latency.utilisation == pytest.approx(busy, rel=1e-3)


@pytest.mark.parametrize("service", [np.ones(1), EXPONENTIAL, np.array([0.5, 0.5, 0.5, 2.5])])
def test_the_mean_is_pollaczek_and_khinchines(
    service: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> None:
    """M/D/1, M/M/1 and a mixture: mean wait = rate E[S^2] / (2 (1 - load))."""
    rate = 0.7
    expected = service.mean() + rate * (service**2).mean() / (2 * (1 - rate * service.mean()))
    assert steady_latency(service, rate, requests=400_000).mean == pytest.approx(expected, rel=0.02)


def test_the_error_of_a_percentile_is_what_repeated_simulations_differ_by() -> None:
    """Twenty seeds: the standard deviation is within a factor of two of the reported one."""
    runs = [steady_latency(EXPONENTIAL, 1.2, 2, requests=200_000, seed=seed) for seed in range(20)]
    spread = np.std([run.percentile(99) for run in runs], ddof=1)
    assert 0.5 < spread / np.mean([run.error(99) for run in runs]) < 2


def test_more_load_is_never_faster_and_another_server_never_slower() -> None:
    """The same draws, so differences are those of the queue."""
    by_rate = [
        steady_latency([1.0, 2.0], rate, requests=400_000).percentile(99) for rate in (0.1, 0.3, 0.5, 0.6)
    ]
    assert all(lower <= higher for lower, higher in pairwise(by_rate))
    by_servers = [
        steady_latency([1.0, 2.0], 0.6, servers, requests=400_000).percentile(99) for servers in (1, 2, 3)
    ]
    assert all(fewer >= more for fewer, more in pairwise(by_servers))


def p99(dispatch: Dispatch, machines: int) -> float:
    servers = Servers(1, machines, dispatch)
    return steady_latency(EXPONENTIAL, 0.7 * machines, servers, requests=1_000_000).percentile(99)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_one_machine_is_the_same_whatever_divides_requests(dispatch: Dispatch) -> None:
    """There is nothing to divide."""
    assert p99(dispatch, 1) == pytest.approx(math.log(100) / 0.3, rel=0.03)


def test_the_more_a_dispatcher_knows_the_shorter_the_queue() -> None:
    """Random is M/M/1 on each machine, one queue is M/M/4; the others lie between, in this order."""
    random, turns, least, shared = (
        p99(name, 4) for name in ("random", "round-robin", "least-loaded", "one-queue")
    )
    assert random == pytest.approx(math.log(100) / 0.3, rel=0.03)
    assert shared == pytest.approx(sojourn_quantile(4, 2.8, 0.99), rel=0.03)
    assert random > turns > least > 0.98 * shared


@pytest.mark.parametrize(
    ("service", "rate", "servers", "message"),
    [
        ([1.0], 0.0, 1, "a rate above 0"),
        ([1.0], math.inf, 1, "a rate above 0"),
        ([1.0], 1.0, 0, "at least one server"),
        ([], 1.0, 1, "service times must be finite"),
        ([math.nan], 1.0, 1, "service times must be finite"),
        ([1.0], 0.99, 1, "busy for 99 % of the time"),
        ([1.0], 4.0, 2, "2 servers busy for 200 %"),
    ],
)
def test_nonsense_is_one_sentence(service: list[float], rate: float, servers: int, message: str) -> None:
    """Before anything is simulated."""
    with pytest.raises(UsageError, match=message):
        steady_latency(service, rate, servers)
