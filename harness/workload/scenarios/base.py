"""The interface of a scenario: how requests are split into calls, and when calls are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Request = TypeVar("Request")
"""An encoded request at boundary `encoded`, an example at boundary `text`."""


class SplitIntoCalls(Protocol):
    """Splits the requests of a visit into calls."""

    def __call__(self, requests: Sequence[Request], batch: int, /) -> list[Sequence[Request]]:
        """Return the calls in order; `batch` is the number of requests per call that the user chose."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way in which requests arrive.

    `calls` splits the requests of a visit into calls. The time of a call is the `latency` of a request, of
    the whole call, or of nothing. With `timed_arrivals`, a call is made when its request arrives, at a given
    rate; otherwise calls are made one after the other.
    """

    name: str
    summary: str
    latency: Literal["request", "call", ""]
    calls: SplitIntoCalls
    timed_arrivals: bool = False
