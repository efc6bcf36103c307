"""An estimate with its interval, and an unavailable quantity with the reason."""

from dataclasses import dataclass

from harness.common.json_types import Count, Real


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval.

    `method` names the estimator and the interval ("median of rounds, bootstrap over rounds"); `count` is the
    number of independent samples; `confidence` is the level of the interval in 0..1.
    """

    value: Real
    low: Real
    high: Real
    confidence: Real
    method: str
    count: Count


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A missing value; `reason` is a clause that completes "unavailable, because ..."."""

    reason: str

    def __str__(self) -> str:
        """Format it for a report."""
        return f"unavailable, because {self.reason}"
