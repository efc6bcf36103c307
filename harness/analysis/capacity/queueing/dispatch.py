"""How requests are divided among machines, each with its own queue and instances.

round-robin    machine 1, 2, ..., m, 1, ...: with Poisson arrivals, gaps at a machine are sums of m gaps
random         each machine has Poisson arrivals of its own
least-loaded   the machine with the least work left
one-queue      all machines take requests from one queue
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from harness.analysis.capacity.queueing.waiting import Seconds, waits_several

Dispatch = Literal["round-robin", "random", "least-loaded", "one-queue"]
DISPATCHES: tuple[Dispatch, ...] = ("round-robin", "random", "least-loaded", "one-queue")

Waits = Callable[[Seconds, Seconds], Seconds]


def gaps_at(
    dispatch: Dispatch, rate: float, machines: int, shape: tuple[int, int], rng: np.random.Generator
) -> Seconds:
    """Return gaps in seconds between the requests of a stream; `rate` is of all machines together.

    A stream is what one machine gets, or all machines together where they share what decides.
    """
    if dispatch == "round-robin":
        return rng.gamma(machines, 1 / rate, shape)
    if dispatch == "random":
        return rng.exponential(machines / rate, shape)
    return rng.exponential(1 / rate, shape)


def waits_of(dispatch: Dispatch, machines: int, instances: int) -> Waits:
    """Return the function from gaps and service times [streams, requests] to waits."""
    if dispatch == "one-queue":
        return lambda gaps, service: waits_several(gaps, service, machines * instances)
    if dispatch == "least-loaded" and machines > 1:
        return lambda gaps, service: _waits_least_loaded(gaps, service, machines, instances)
    return lambda gaps, service: waits_several(gaps, service, instances)


def share_of(dispatch: Dispatch, machines: int) -> int:
    """Return how many machines' requests a stream holds."""
    return machines if dispatch in ("least-loaded", "one-queue") else 1


def _waits_least_loaded(gaps: Seconds, service: Seconds, machines: int, instances: int) -> Seconds:
    """Return the waits where each request goes to the machine with the least work left."""
    streams = np.arange(len(service))
    work = np.zeros((len(service), machines, instances))
    waits = np.empty_like(service)
    for request in range(service.shape[1]):
        np.maximum(work - gaps[:, request, None, None], 0.0, out=work)
        chosen = work.sum(axis=2).argmin(axis=1)
        queue = work[streams, chosen]
        waits[:, request] = queue[:, 0]
        queue[:, 0] += service[:, request]
        queue.sort(axis=1)
        work[streams, chosen] = queue
    return waits
