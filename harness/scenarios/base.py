"""What a scenario decides: what one call gets, and whether a call's time is a request's latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Asked = TypeVar("Asked")
"""Requests at boundary `encoded`, examples at boundary `text`."""


class Split(Protocol):
    """Splits what a visit asks into calls."""

    def __call__(self, asked: Sequence[Asked], /) -> list[Sequence[Asked]]:
        """Return the calls, in order."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way in which requests arrive.

    `calls` splits the requests of a visit into the calls that are made one after the other; `per_request`
    says whether the duration of a call is the latency of one request.
    """

    name: str
    summary: str
    per_request: bool
    calls: Split
