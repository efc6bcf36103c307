"""`single-stream`: one request per call; the next call is made when the last one is answered."""

from collections.abc import Sequence

from harness.workload.scenarios.base import Request, Scenario


def one_request_per_call(requests: Sequence[Request], batch: int, /) -> list[Sequence[Request]]:
    """Return a call for each request."""
    del batch
    return [(request,) for request in requests]


SINGLE_STREAM = Scenario(
    "single-stream", "one request at a time; latency counts", "request", one_request_per_call
)
