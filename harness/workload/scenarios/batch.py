"""`batch`: a fixed number of requests per call, one call after the other; the latency of a call counts.

Requests keep their order, as they would arrive at a service. The harness does not sort them by length; a
system may do so within a call.
"""

from collections.abc import Sequence

from harness.workload.scenarios.base import Request, Scenario


def split_into_batches(requests: Sequence[Request], batch: int, /) -> list[Sequence[Request]]:
    """Return calls of `batch` requests; the last may hold fewer, and then its latency is not counted."""
    return [tuple(requests[start : start + batch]) for start in range(0, len(requests), batch)]


BATCH = Scenario(
    "batch", "--batch requests per call; the latency of a call counts", "call", split_into_batches
)
