"""Progress of a run: the command line shows it as bars, tests collect it, `NoProgress` drops it."""

from collections.abc import Callable
from typing import Protocol


class ProgressReporter(Protocol):
    """Receives the stages of a run, their steps, and single messages."""

    def stage(self, name: str, steps: int) -> None:
        """Begin a stage of this many steps, and end the previous one."""

    def step(self, done: float = 1.0) -> None:
        """Add completed steps to the current stage."""

    def detail(self, text: str) -> None:
        """Show what is being done now."""

    def warn(self, text: str) -> None:
        """Show a message that the user should read at once."""


class NoProgress:
    """Drops all progress."""

    def stage(self, name: str, steps: int) -> None:
        """Do nothing."""

    def step(self, done: float = 1.0) -> None:
        """Do nothing."""

    def detail(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
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
