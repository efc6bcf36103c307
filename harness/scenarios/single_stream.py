"""single-stream: one request at a time, the next when the last is answered."""

from collections.abc import Sequence

from harness.scenarios.base import Asked, Scenario


def _one_by_one(asked: Sequence[Asked], /) -> list[Sequence[Asked]]:
    return [(each,) for each in asked]


SINGLE_STREAM = Scenario("single-stream", "one request at a time; latency counts", True, _one_by_one)
