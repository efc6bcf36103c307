"""`offline`: all requests at once; the system may order and batch them as it likes."""

from collections.abc import Sequence

from harness.workload.scenarios.base import Asked, Scenario


def _all_at_once(asked: Sequence[Asked], batch: int, /) -> list[Sequence[Asked]]:
    del batch  # the system's own business here: it is told, and cuts as it likes
    return [tuple(asked)]


OFFLINE = Scenario("offline", "all requests at once; throughput counts", "", _all_at_once)
