"""The options under `How much`: the profile, rounds and launches, examples, and when measuring stops."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from harness.cli.options.groups import OptionGroup
from harness.cli.options.output import MaxQualityLoss
from harness.cli.options.panels import amount_option
from harness.cli.options.units import parse_duration, parse_share

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions

ProfileName = Annotated[str, amount_option("--profile NAME", "How much is measured: quick, default or full.")]


class AmountOptions(OptionGroup):
    """Rounds and examples."""

    profile: ProfileName = "default"
    rounds: Annotated[int | None, amount_option("--rounds N", "Rounds (default: the profile's).")] = None
    precision: Annotated[
        str | None,
        amount_option(
            "--precision SHARE", "Add rounds until every speed-up is within this share, 2% for instance."
        ),
    ] = None
    time_budget: Annotated[
        str | None,
        amount_option("--time-budget TIME", "Stop adding rounds for --precision after this time: 10m."),
    ] = None
    limit: Annotated[
        int | None, amount_option("--limit -n N", "Timed examples (default: the profile's).")
    ] = None
    quality: Annotated[
        Literal["full", "sample"] | None,
        amount_option(
            "--quality full|sample",
            "Score the full split, its rest untimed, or the timed sample (default: full; with --profile "
            "quick the sample).",
        ),
    ] = None

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set the options of the same name, the parsed ones, and the sample."""
        precision = parse_share(self.precision, "--precision") if self.precision else None
        budget = parse_duration(self.time_budget, "--time-budget", "10m") if self.time_budget else None
        return replace(super().apply(options), precision=precision, time_budget_s=budget, sample=self.limit)


class LaunchOptions(AmountOptions):
    """Rounds, examples, and launches of the worker processes."""

    launches: Annotated[
        int | None,
        amount_option("--launches N", "Process launches of --rounds rounds each (default: the profile's)."),
    ] = None
    max_quality_loss: MaxQualityLoss = None
