"""Progress on stderr: bars in a terminal, plain lines in a log.

Both show that a stage goes on where nothing is reported for long: a heartbeat (`heartbeat.py`) draws them
again. No stage has one while something is timed.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO

from harness.cli.options.units import format_time
from harness.cli.output.heartbeat import Heartbeat
from harness.common.progress import NoProgress, ProgressReporter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID


LOG_SECONDS = 10.0
"""How often a log gets a line on a long stage."""

BAR_SECONDS = 1.0
"""How often bars are drawn again while nothing is reported."""

WIDE = 100
"""Columns from which a terminal has space for long bars."""


class Lines:
    """One line a stage, and one now and then within a long stage, for logs and pipes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name, self._detail, self._steps, self._done = "", "", 0, 0.0
        self._started = self._printed = clock()
        self._lock = threading.RLock()
        self._heartbeat = Heartbeat(self.beat)

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        """Print the name of the stage."""
        self.finish()
        self._name, self._detail, self._steps, self._done = name, "", steps, 0.0
        self._started = self._printed = self._clock()
        self.warn(f"{name} ...")
        self._heartbeat.start(max(quiet_s, LOG_SECONDS))

    def step(self, done: float = 1.0) -> None:
        """Count steps, and print a line where the last one is some seconds old."""
        self._done += done
        if self._done >= self._steps:
            self.finish()
        self.beat()

    def detail(self, text: str) -> None:
        """Keep the current step for the next line."""
        self._detail = text

    def warn(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 -- the command line prints

    def finish(self) -> None:
        """End the heartbeat."""
        self._heartbeat.stop()

    def beat(self) -> None:
        """Print the step, the share that is done and the time, where the last line is some seconds old."""
        with self._lock:
            now = self._clock()
            if now - self._printed < LOG_SECONDS or self._done >= self._steps:
                return
            self._printed = now
            self.warn(f"{self._name}: {', '.join(self._parts(now - self._started))}")

    def _parts(self, elapsed_s: float) -> list[str]:
        parts = [self._detail] if self._detail else []
        if not self._done:
            return [*parts, f"{format_time(elapsed_s)} so far"]
        left_s = elapsed_s * (self._steps - self._done) / self._done
        return [*parts, f"{self._done / self._steps:.0%}", f"about {format_time(left_s)} left"]


class Bars:
    """One bar a stage, with the current step, the time so far and the time left.

    While something is timed, bars are drawn only when something happens, which is between two visits: a bar
    that moves by itself would take CPU time from the system that is being timed.
    """

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._heartbeat = Heartbeat(progress.refresh)

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        """Complete the bar before, and start the next."""
        self.finish()
        self._task = self._progress.add_task(name, total=steps, detail="")
        self._progress.refresh()
        self._heartbeat.start(max(quiet_s, BAR_SECONDS))

    def step(self, done: float = 1.0) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._progress.advance(self._task, done)
            if self._progress.tasks[self._task].finished:
                self._heartbeat.stop()
            self._progress.refresh()

    def detail(self, text: str) -> None:
        """Show the current step."""
        if self._task is not None:
            self._progress.update(self._task, detail=text, refresh=True)

    def warn(self, text: str) -> None:
        """Print above the bars."""
        from rich.text import Text

        self._progress.console.print(Text(text))

    def stop(self) -> None:
        """End the heartbeat, and leave the open bar as it is."""
        self._heartbeat.stop()

    def finish(self) -> None:
        """Fill the open bar, and end the heartbeat."""
        self.stop()
        if self._task is not None:
            total = self._progress.tasks[self._task].total
            self._progress.update(self._task, completed=total or 0, detail="")


@contextmanager
def progress_reporter(*, quiet: bool) -> Iterator[ProgressReporter]:
    """Yield bars where stderr is a terminal, lines where it is not, and no progress with `quiet`."""
    if quiet:
        yield NoProgress()
        return
    if not draws_bars(sys.stderr, os.environ):
        lines = Lines()
        try:
            yield lines
        finally:
            lines.finish()
        return
    with _progress_display() as progress:
        bars = Bars(progress)
        try:
            yield bars
        except BaseException:
            bars.stop()
            raise
        bars.finish()


def notices(progress: ProgressReporter, *, quiet: bool) -> Callable[[str], None]:
    """Return what shows a message that is seen with `--quiet` too: beside the progress, or on stderr."""
    return partial(print, file=sys.stderr, flush=True) if quiet else progress.warn


def draws_bars(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and environ.get("TERM", "") not in ("dumb", "unknown")


def _progress_display() -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # steps of minutes still have an estimate of the time left
    return Progress(*_columns(console), console=console, auto_refresh=False, speed_estimate_period=1800)


def _columns(console: "Console") -> "list[ProgressColumn]":
    """Return the columns: what a narrow terminal lacks the space for is the bar, not the current step."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    wide = console.width >= WIDE
    name = Column(no_wrap=True, overflow="ellipsis", ratio=None if wide else 3)
    detail = Column(no_wrap=True, overflow="ellipsis", ratio=None if wide else 3)
    bar: list[ProgressColumn] = [BarColumn(bar_width=24)] if wide else []
    return [
        TextColumn("{task.description}", markup=False, table_column=name),
        *bar,
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False, table_column=detail),
    ]
