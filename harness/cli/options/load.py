"""The options of offered load: batches, arrival rates, and the objective a rate is searched for."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import amount_option, what_option
from harness.cli.options.units import parse_duration, split_names
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions

_INTEGER, _NUMBER = r"\d+", r"\d+(\.\d+)?"


class LoadOptions(OptionGroup):
    """How many requests come at once, or per second, and how long each window lasts."""

    batch: Annotated[
        str, what_option("--batch N,...", "Scenario batch: requests per call; offline: computed together.")
    ] = ""
    rate: Annotated[str, what_option("--rate R,...", "Scenario server: requests per second that arrive.")] = (
        ""
    )
    slo: Annotated[
        str,
        what_option("--slo p99=20ms", "Scenario server: search the highest rate that meets this objective."),
    ] = ""
    window: Annotated[
        str | None, amount_option("--window TIME", "Shortest timed window (default: the profile's).")
    ] = None

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set batches, rates, objective and window; UsageError for what is not a number."""
        return replace(
            options,
            batches=tuple(map(int, _numbers("--batch", self.batch, _INTEGER))),
            rates=tuple(map(float, _numbers("--rate", self.rate, _NUMBER))),
            slo=self.slo,
            window_ms=None
            if self.window is None
            else round(1e3 * parse_duration(self.window, "--window", "250ms")),
        )


def _numbers(option: str, text: str, pattern: str) -> tuple[str, ...]:
    numbers = split_names(text)
    for number in numbers:
        if not re.fullmatch(pattern, number):
            raise UsageError(
                f"{option} must be numbers, got {number!r}.", remedy=f"For example {option} 8, or 8,32."
            )
    return numbers
