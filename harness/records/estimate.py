"""Values only: an estimate with its interval, and a quantity that is unavailable with the reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval.

    `method` names estimator and interval ("median of rounds, bootstrap over rounds"); `count` is how many
    independent samples it rests on; `confidence` is the interval's level in 0..1.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str
    count: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The absent value; `reason` is a clause that continues "unavailable, because ..."."""

    reason: str

    def __str__(self) -> str:
        """Say it as a report prints it."""
        return f"unavailable, because {self.reason}"
