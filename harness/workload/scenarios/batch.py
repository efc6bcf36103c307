"""`batch`: so many requests a call, the next call when the last is answered; a call's latency counts.

Requests stay in the order they are asked in, as they would come to a service: the harness does not sort them
by length, which a system may do within a call.
"""

from collections.abc import Sequence

from harness.workload.scenarios.base import Asked, Scenario


def in_batches(asked: Sequence[Asked], batch: int, /) -> list[Sequence[Asked]]:
    """Return calls of `batch` requests each; the last may hold fewer, and its latency is not counted."""
    return [tuple(asked[start : start + batch]) for start in range(0, len(asked), batch)]


BATCH = Scenario("batch", "--batch requests a call; a call's latency counts", "call", in_batches)
