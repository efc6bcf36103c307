"""Progress of a run: the command line shows it as bars, tests collect it, `NoProgress` drops it."""

import math
from collections.abc import Callable
from typing import Protocol

TIMED = math.inf
"""`quiet_s` of a stage in which something is timed: nothing is shown between two calls."""

LOADING_QUIET_S = 10.0
"""`quiet_s` of a stage whose length is a figure of its own, such as loading or training."""


class ProgressReporter(Protocol):
    """Receives the stages of a run, their steps, and single messages."""

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        """Begin a stage of this many steps, and end the previous one.

        Between two calls, nothing may be shown more often than every `quiet_s` seconds: showing takes CPU
        time from what is measured.
        """

    def step(self, done: float = 1.0) -> None:
        """Add completed steps to the current stage."""

    def detail(self, text: str) -> None:
        """Show what is being done now."""

    def warn(self, text: str) -> None:
        """Show a message that the user should read at once."""

    def finish(self) -> None:
        """End the current stage."""


class NoProgress:
    """Drops all progress."""

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        """Do nothing."""

    def step(self, done: float = 1.0) -> None:
        """Do nothing."""

    def detail(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


def count_up(reporter: ProgressReporter) -> Callable[[str], None]:
    """Return a function that turns a worker's messages `done/all` into steps of the stage."""
    last = 0

    def on_progress(message: str) -> None:
        nonlocal last
        done = int(message.partition("/")[0])
        reporter.step(done - last)
        last = done

    return on_progress
