"""offline: all requests at once; the system may order and batch them as it likes."""

from collections.abc import Sequence

from harness.scenarios.base import Calls, Scenario
from harness.system import Request


def _all_at_once(requests: Sequence[Request]) -> Calls:
    return [tuple(requests)]


OFFLINE = Scenario("offline", "all requests at once; throughput counts", False, _all_at_once)
