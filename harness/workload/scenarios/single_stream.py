"""`single-stream`: one request at a time, the next when the last is answered."""

from collections.abc import Sequence

from harness.workload.scenarios.base import Asked, Scenario


def one_by_one(asked: Sequence[Asked], batch: int, /) -> list[Sequence[Asked]]:
    """Return a call for each request."""
    del batch
    return [(each,) for each in asked]


SINGLE_STREAM = Scenario("single-stream", "one request at a time; latency counts", "request", one_by_one)
