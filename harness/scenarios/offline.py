"""offline: all requests at once; the system may order and batch them as it likes."""

from collections.abc import Sequence

from harness.scenarios.base import Asked, Scenario


def _all_at_once(asked: Sequence[Asked], /) -> list[Sequence[Asked]]:
    return [tuple(asked)]


OFFLINE = Scenario("offline", "all requests at once; throughput counts", False, _all_at_once)
