import io
import threading
from itertools import chain, repeat

import pytest
from rich.console import Console
from rich.progress import Progress

from harness.cli.output.progress import Bars, Lines, draws_bars, progress_reporter
from harness.common.progress import TIMED, NoProgress


def heartbeats() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_log_has_a_line_a_stage_and_then_the_share_that_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """At 5 s nothing; at 50 s half of 4 steps are done, so another 50 s are left."""
    times = iter([0.0, 0.0, 5.0, 50.0, 55.0])
    lines = Lines(clock=lambda: next(times))
    lines.stage("measure", 4, quiet_s=TIMED)
    lines.detail("round 1")
    for _ in range(3):
        lines.step()
    assert capsys.readouterr().err == "measure ...\nmeasure: round 1, 50%, about 50 s left\n"


def test_a_log_has_a_line_every_ten_seconds_while_a_step_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The heartbeat at 9, 11 and 150 s prints two lines: the step, and the time so far."""
    times = iter([0.0, 0.0, 9.0, 11.0, 150.0])
    lines = Lines(clock=lambda: next(times))
    lines.stage("prepare", 2, quiet_s=TIMED)  # no thread: the test calls `beat`
    lines.detail("onnx-int8")
    for _ in range(3):
        lines.beat()
    assert capsys.readouterr().err.splitlines() == [
        "prepare ...",
        "prepare: onnx-int8, 11 s so far",
        "prepare: onnx-int8, 2.5 min so far",
    ]


def test_a_stage_that_is_done_prints_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    """All steps are done at 20 s; a beat after that has nothing to report."""
    times = chain([0.0, 0.0, 20.0, 40.0], repeat(60.0))
    lines = Lines(clock=lambda: next(times))
    lines.stage("check", 1)
    lines.step()
    lines.beat()
    assert capsys.readouterr().err == "check ...\n"


@pytest.mark.parametrize("reporter", ["lines", "bars"])
def test_a_heartbeat_runs_in_an_untimed_stage_only(reporter: str) -> None:
    """Not in a timed one, not after the last step, and not after `finish`."""
    shown = Lines() if reporter == "lines" else Bars(Progress(console=Console(file=io.StringIO())))
    shown.stage("prepare", 2)
    assert heartbeats() == ["heartbeat"]
    shown.stage("measure", 2, quiet_s=TIMED)
    assert heartbeats() == []
    shown.stage("answer", 2)
    shown.step(2)
    assert heartbeats() == []
    shown.stage("export", 1)
    shown.finish()
    assert heartbeats() == []


def test_an_error_ends_the_heartbeat() -> None:
    """As any end of the command does."""

    def failing() -> None:
        with progress_reporter(quiet=False) as progress:
            progress.stage("prepare", 2)
            assert heartbeats() == ["heartbeat"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert heartbeats() == []


def test_bars_show_the_stage_what_is_done_now_and_warnings() -> None:
    """A finished stage is full, and text from outside is no markup."""
    stream = io.StringIO()
    progress = Progress(console=Console(file=stream, width=80))
    bars = Bars(progress)
    bars.step()
    bars.detail("before any stage")
    bars.stage("prepare", 2)
    bars.step()
    bars.warn("[red]x failed[/red]")
    bars.stage("measure", 4)
    assert [(task.description, task.completed) for task in progress.tasks] == [("prepare", 2), ("measure", 0)]
    bars.finish()
    assert progress.tasks[1].completed == 4
    assert "[red]x failed[/red]" in stream.getvalue()


@pytest.mark.parametrize("width", [50, 80, 120])
def test_bars_show_the_current_step_on_any_width(width: int) -> None:
    """Each stage takes one line, and its step is in it."""
    from harness.cli.output.progress import _columns

    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    progress = Progress(*_columns(console), console=console, auto_refresh=False)
    bars = Bars(progress)
    bars.stage("load and warm up", 10, quiet_s=TIMED)
    bars.detail("pytorch-fixed")
    console.print(progress.get_renderable())
    (line,) = stream.getvalue().splitlines()
    assert "load and w" in line
    assert "pytorch" in line


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    """Rich draws nothing at all on a dumb one."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert draws_bars(Terminal(), {"TERM": "xterm-256color"})
    assert draws_bars(Terminal(), {})
    assert not draws_bars(Terminal(), {"TERM": "dumb"})
    assert not draws_bars(io.StringIO(), {"TERM": "xterm-256color"})


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """And without a terminal there are lines."""
    with progress_reporter(quiet=True) as progress:
        assert isinstance(progress, NoProgress)
        progress.stage("x", 1)
        progress.warn("y")
    with progress_reporter(quiet=False) as progress:
        assert isinstance(progress, Lines)
    assert capsys.readouterr().err == ""
