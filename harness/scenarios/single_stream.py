"""single-stream: one request at a time, the next when the last is answered."""

from collections.abc import Sequence

from harness.scenarios.base import Calls, Scenario
from harness.system import Request


def _one_by_one(requests: Sequence[Request]) -> Calls:
    return [(request,) for request in requests]


SINGLE_STREAM = Scenario("single-stream", "one request at a time; latency counts", True, _one_by_one)
