"""What a scenario decides: which requests one call gets, and whether a call's time is a request's latency."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.system import Request

Calls = list[Sequence[Request]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way in which requests arrive.

    `calls` splits the requests of a visit into the calls that are made one after the other; `per_request`
    says whether the duration of a call is the latency of one request.
    """

    name: str
    summary: str
    per_request: bool
    calls: Callable[[Sequence[Request]], Calls]
