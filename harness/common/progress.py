"""Who is told what goes on while a run works; the command line shows progress bars, tests keep a list."""

from collections.abc import Callable
from typing import Protocol


class ProgressReporter(Protocol):
    """Told of stages, of their steps, and of single events."""

    def stage(self, name: str, steps: int) -> None:
        """Begin a stage of so many steps; the one before is over."""

    def step(self, done: float = 1.0) -> None:
        """Count so many steps of the stage as done."""

    def detail(self, text: str) -> None:
        """Say what is being done now."""

    def warn(self, text: str) -> None:
        """Say what the user should know at once."""


class NoProgress:
    """Tells nobody."""

    def stage(self, name: str, steps: int) -> None:
        """Say nothing."""

    def step(self, done: float = 1.0) -> None:
        """Say nothing."""

    def detail(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""


def count_up(narrator: ProgressReporter) -> Callable[[str], None]:
    """Turn a worker's `done/all` into steps of the stage."""
    last = 0

    def told(progress: str) -> None:
        nonlocal last
        now = int(progress.partition("/")[0])
        narrator.step(now - last)
        last = now

    return told
