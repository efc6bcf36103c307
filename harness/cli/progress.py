"""Progress on stderr: bars for people, plain lines for logs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.sweep.narrator import Narrator, Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Lines:
    """One line a stage and one a detail, for logs and pipes."""

    def __init__(self) -> None:
        self._last = ""

    def stage(self, name: str, steps: int) -> None:
        """Name the stage."""
        del steps
        self._say(f"{name} ...")

    def step(self, done: float = 1.0) -> None:
        """Say nothing: a log needs no ticks."""

    def detail(self, text: str) -> None:
        """Say nothing: a log needs no rounds."""

    def warn(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def _say(self, text: str) -> None:
        if text != self._last:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 -- the command line prints
        self._last = text


class Bars:
    """One bar a stage, with what is done now and how long it will still take."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str, steps: int) -> None:
        """Complete the bar before, and begin the next."""
        self.finish()
        self._task = self._progress.add_task(name, total=steps, detail="")

    def step(self, done: float = 1.0) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, done)

    def detail(self, text: str) -> None:
        """Show what is being done now."""
        if self._task is not None:
            self._progress.update(self._task, detail=text)

    def warn(self, text: str) -> None:
        """Print above the bars."""
        from rich.text import Text

        self._progress.console.print(Text(text))

    def finish(self) -> None:
        """Fill the bar that is open."""
        if self._task is not None:
            total = self._progress.tasks[self._task].total
            self._progress.update(self._task, completed=total or 0, detail="")


@contextmanager
def narrator(*, quiet: bool) -> Iterator[Narrator]:
    """Yield bars where stderr is a terminal, lines where it is not, nothing where nothing was asked for."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        with _bars() as progress:
            bars = Bars(progress)
            yield bars
            bars.finish()


def _bars() -> "Progress":
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
    )
