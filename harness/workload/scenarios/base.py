"""What a scenario decides: what one call gets, when it is made, and what its time is the latency of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Asked = TypeVar("Asked")
"""Requests at boundary `encoded`, examples at boundary `text`."""


class SplitIntoCalls(Protocol):
    """Splits what a visit asks into calls."""

    def __call__(self, asked: Sequence[Asked], batch: int, /) -> list[Sequence[Asked]]:
        """Return the calls, in order; `batch` is how many a call gets where the user may choose."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way in which requests arrive.

    `calls` splits the requests of a visit into calls; `latency` says whose latency a call's time is: one
    request's, a whole call's, or nobody's. `timed_arrivals` says that calls are made when requests arrive, at
    a rate, instead of one after the other.
    """

    name: str
    summary: str
    latency: Literal["request", "call", ""]
    calls: SplitIntoCalls
    timed_arrivals: bool = False
