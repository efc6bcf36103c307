"""Progress on stderr: bars in a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.common.progress import NoProgress, ProgressReporter

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


LOG_SECONDS = 30.0
"""How often a log gets a line on a long stage."""


class Lines:
    """One line a stage, and one now and then within a long stage, for logs and pipes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name, self._steps, self._done = "", 0, 0.0
        self._started = self._printed = clock()

    def stage(self, name: str, steps: int) -> None:
        """Print the name of the stage."""
        self._name, self._steps, self._done = name, steps, 0.0
        self._started = self._printed = self._clock()
        self.warn(f"{name} ...")

    def step(self, done: float = 1.0) -> None:
        """Print the share that is done and the time left at this pace, every half minute."""
        self._done += done
        now = self._clock()
        if now - self._printed >= LOG_SECONDS and self._done:
            left = (now - self._started) * (self._steps - self._done) / self._done
            self._printed = now
            self.warn(f"{self._name}: {self._done / self._steps:.0%}, about {left:.0f} s left")

    def detail(self, text: str) -> None:
        """Print nothing: a log does not need each round."""

    def warn(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 -- the command line prints


class Bars:
    """One bar a stage, with the current step and the time left.

    Bars are drawn when something happens, which is between two visits: a bar that moves by itself would take
    CPU time from the system that is being timed.
    """

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str, steps: int) -> None:
        """Complete the bar before, and start the next."""
        self.finish()
        self._task = self._progress.add_task(name, total=steps, detail="")

    def step(self, done: float = 1.0) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._progress.advance(self._task, done)
            self._progress.refresh()

    def detail(self, text: str) -> None:
        """Show the current step."""
        if self._task is not None:
            self._progress.update(self._task, detail=text, refresh=True)

    def warn(self, text: str) -> None:
        """Print above the bars."""
        from rich.text import Text

        self._progress.console.print(Text(text))

    def finish(self) -> None:
        """Fill the open bar."""
        if self._task is not None:
            total = self._progress.tasks[self._task].total
            self._progress.update(self._task, completed=total or 0, detail="")


@contextmanager
def progress_reporter(*, quiet: bool) -> Iterator[ProgressReporter]:
    """Yield bars where stderr is a terminal, lines where it is not, and no progress with `quiet`."""
    if quiet:
        yield NoProgress()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        with _progress_display() as progress:
            bars = Bars(progress)
            yield bars
            bars.finish()


def _progress_display() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True),
        auto_refresh=False,
    )
