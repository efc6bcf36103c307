"""`offline`: all requests in one call; the system may order and batch them."""

from collections.abc import Sequence

from harness.workload.scenarios.base import Request, Scenario


def _single_call(requests: Sequence[Request], batch: int, /) -> list[Sequence[Request]]:
    del batch  # the system receives it as its own batch size
    return [tuple(requests)]


OFFLINE = Scenario("offline", "all requests at once; throughput counts", "", _single_call)
