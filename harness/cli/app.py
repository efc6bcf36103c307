"""The program `bench`: its commands, and the one place where errors become messages and exit codes."""

import os
import sys
from collections.abc import Sequence

import typer

from harness.cli.context import CliContext
from harness.cli.environment import doctor
from harness.cli.environment import list as listing
from harness.cli.environment.cache import cache_app
from harness.cli.environment.data import data_app
from harness.cli.measure import gate, ladder, roofline, run, tune
from harness.cli.models import export, predict, train
from harness.cli.options.config_file import read_defaults
from harness.cli.output.terminal import escape
from harness.cli.results import compare, report, track, verify
from harness.common.errors import BenchError

app = typer.Typer(
    name="bench",
    help="Measure what each optimisation of a transformer classifier gains here, and what it costs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("optimize")(ladder.optimize)
app.command("ladder")(ladder.ladder)
app.command("tune")(tune.tune)
app.command("predict")(predict.predict)
app.command("verify")(verify.verify)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("gate")(gate.gate)
app.command("track")(track.track)
app.command("roofline")(roofline.roofline)
app.command("export")(export.export)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")
app.command("list")(listing.list_)
app.command("doctor")(doctor.doctor)

INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Measure what each optimisation of a transformer classifier gains here, and what it costs."""
    toolbox: CliContext = context.obj
    read_defaults(context, toolbox.defaults, toolbox.environ)
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"bench {installed('fastformers-bench')}")
        raise typer.Exit


def call(words: Sequence[str], toolbox: CliContext) -> int:
    """Run one command and return its exit code; messages go to stderr."""
    debug = "--debug" in words
    try:
        rest = [word for word in words if word != "--debug"]
        code = app(rest, prog_name="bench", obj=toolbox, standalone_mode=False)
    except BenchError as problem:
        return _told(problem)
    except BrokenPipeError:
        return _reader_gone()
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("Interrupted.", err=True)
        return INTERRUPTED
    except Exception as problem:  # noqa: BLE001 -- the last resort, and it says so
        return _unexpected(problem, debug=debug)
    return code if isinstance(code, int) else 0


def _reader_gone() -> int:
    """Leave quietly when whoever read stdout has read enough (`bench list | head -1`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _told(problem: BenchError) -> int:
    typer.echo(f"bench: {escape(str(problem))}", err=True)
    return problem.exit_code


def _unexpected(problem: Exception, *, debug: bool) -> int:
    """Show what the option parser has to say, or own up to a bug; the traceback only under --debug."""
    # typer's parser errors are known by what they can do: their classes moved between its versions
    show, code = getattr(problem, "show", None), getattr(problem, "exit_code", None)
    if callable(show) and isinstance(code, int):
        show()
        return code
    if debug:
        raise problem
    typer.echo(f"bench: a bug of ours: {type(problem).__name__}: {escape(str(problem))}", err=True)
    typer.echo("Run it again with --debug for the traceback, and report both, please.", err=True)
    return 1
