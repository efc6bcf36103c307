"""Waiting times of requests that are served in their order of arrival, for many independent streams at once.

    gaps, service times --waits_single--> waits      one server: Lindley (1952)
                        --waits_several-> waits      several servers, one queue: Kiefer and Wolfowitz (1955)

All times are in seconds; arrays are [streams, requests]. A stream begins with all servers idle.
"""

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]


def waits_single(gaps: Seconds, service: Seconds) -> Seconds:
    """Return how long each request waits for one server; `gaps` precede the requests.

    Lindley's recursion W = max(0, W' + S' - A), over which cumulative sums are the same: with X the sum of
    S' - A so far, W = X - min(0, X's minimum so far).
    """
    steps = np.zeros_like(service)
    steps[:, 1:] = service[:, :-1] - gaps[:, 1:]
    sums = np.cumsum(steps, axis=1)
    return sums - np.minimum(np.minimum.accumulate(sums, axis=1), 0.0)


def waits_several(gaps: Seconds, service: Seconds, servers: int) -> Seconds:
    """Return how long each request waits where it goes to the first server that is free.

    The state is the work left at each server when a request arrives, in ascending order.
    """
    if servers == 1:
        return waits_single(gaps, service)
    waits = np.empty_like(service)
    work = np.zeros((len(service), servers))
    for request in range(service.shape[1]):
        np.maximum(work - gaps[:, request, None], 0.0, out=work)
        waits[:, request] = work[:, 0]
        work[:, 0] += service[:, request]
        work.sort(axis=1)
    return waits
