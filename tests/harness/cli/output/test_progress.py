import io

import pytest
from rich.console import Console
from rich.progress import Progress

from harness.cli.output.progress import Bars, Lines, progress_reporter
from harness.common.progress import NoProgress


def test_a_log_hears_of_stages_and_now_and_then_how_far_one_is(capsys: pytest.CaptureFixture[str]) -> None:
    """At 25 s nothing; at 50 s half of 4 steps are done, so another 50 s are left."""
    times = iter([0.0, 0.0, 25.0, 50.0, 60.0])
    lines = Lines(clock=lambda: next(times))
    lines.stage("measure", 4)
    for _ in range(3):
        lines.step()
    lines.detail("round 1")
    assert capsys.readouterr().err == "measure ...\nmeasure: 50%, about 50 s left\n"


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


def test_quiet_tells_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """And without a terminal there are lines."""
    with progress_reporter(quiet=True) as told:
        assert isinstance(told, NoProgress)
        told.stage("x", 1)
        told.warn("y")
    with progress_reporter(quiet=False) as told:
        assert isinstance(told, Lines)
    assert capsys.readouterr().err == ""
