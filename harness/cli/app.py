"""The program `bench`: its commands, and the one place where errors become messages and exit codes."""

import errno
from collections.abc import Callable, Sequence

import typer

from harness.cli.context import CliContext
from harness.cli.environment.cache import cache_app
from harness.cli.environment.check import check
from harness.cli.environment.data import data_app
from harness.cli.environment.doctor import doctor
from harness.cli.environment.list import list_
from harness.cli.environment.meter import meter_app
from harness.cli.interruption import INTERRUPTION
from harness.cli.measure.gate import gate
from harness.cli.measure.ladder import ladder
from harness.cli.measure.prepare import prepare
from harness.cli.measure.roofline import roofline
from harness.cli.measure.run import run
from harness.cli.measure.search import search
from harness.cli.models.export import export
from harness.cli.models.predict import predict
from harness.cli.models.train import train
from harness.cli.options.config_file import read_defaults
from harness.cli.options.groups import DEBUG_HELP, add_command, option_app
from harness.cli.output.streams import ReaderGone, check_working_folder, drop_output
from harness.cli.output.terminal import escape
from harness.cli.results.compare import compare
from harness.cli.results.plan import plan
from harness.cli.results.query import query
from harness.cli.results.report import report
from harness.cli.results.score import score
from harness.cli.results.store import store_app
from harness.cli.results.track import track
from harness.cli.results.verify import verify
from harness.common.errors import BenchError, ExitCode, StoreError, UsageError
from harness.common.plugins import describe, plugin_of

COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Measure": {
        "run": run,
        "prepare": prepare,
        "ladder": ladder,
        "search": search,
        "gate": gate,
        "roofline": roofline,
    },
    "Models": {"train": train, "predict": predict, "score": score, "export": export},
    "Results": {
        "report": report,
        "query": query,
        "compare": compare,
        "track": track,
        "plan": plan,
        "verify": verify,
    },
    "Environment": {"list": list_, "doctor": doctor, "check": check},
}
"""Every command by panel; the group `store` is added to `Results`, other groups to the last."""

RENAMED = {"optimize": "prepare", "tune": "search"}
"""Former names of commands, accepted for one version."""

SUMMARY = "Measure what each optimisation of a transformer classifier gains here, and what it costs."

app = option_app(SUMMARY, completes=True)
for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        add_command(app, name, command, panel)
app.add_typer(store_app, name="store", rich_help_panel="Results")
app.add_typer(data_app, name="data", rich_help_panel="Environment")
app.add_typer(cache_app, name="cache", rich_help_panel="Environment")
app.add_typer(meter_app, name="meter", rich_help_panel="Environment")


@app.callback(invoke_without_command=True)
def bench(
    typer_context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    debug: bool = typer.Option(False, "--debug", help=f"With any command: {DEBUG_HELP}"),
) -> None:
    """Measure what each optimisation of a transformer classifier gains here, and what it costs."""
    del debug  # `call` has taken it out
    context: CliContext = typer_context.obj
    read_defaults(typer_context, context.defaults, context.environ)
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(f"bench {installed_version('fastformers-bench')}")
        raise typer.Exit


def call(arguments: Sequence[str], context: CliContext) -> int:
    """Run one command and return its exit code; messages go to stderr."""
    debug = "--debug" in arguments
    if debug:
        _show_details()
    command_line = _renamed([argument for argument in arguments if argument != "--debug"])
    try:
        code = app(command_line, prog_name="bench", obj=context, standalone_mode=False)
    except BenchError as error:
        typer.echo(f"bench: {escape(str(error))}", err=True)
        interrupted = INTERRUPTION.signal is not None
        return INTERRUPTION.exit_code if interrupted else error.exit_code
    except (BrokenPipeError, ReaderGone):
        drop_output()
        return ExitCode.DONE
    except (KeyboardInterrupt, typer.Abort, Exception) as error:  # noqa: BLE001 -- the last resort
        return _report_unexpected(error, debug=debug)
    if code == ExitCode.INTERRUPTED:  # the parser makes this of a KeyboardInterrupt, whatever the signal
        return _report_interrupted()
    return code if isinstance(code, int) else ExitCode.DONE


def _report_interrupted() -> int:
    typer.echo("Interrupted.", err=True)
    return INTERRUPTION.exit_code


def _show_details() -> None:
    """Print what the harness logs, such as the tracebacks of workers, on stderr."""
    import logging

    handler = logging.StreamHandler()
    logger = logging.getLogger("harness")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def _renamed(arguments: list[str]) -> list[str]:
    """Return the arguments with a former command name replaced; the new name is printed on stderr."""
    if not arguments or arguments[0] not in RENAMED:
        return arguments
    former, name = arguments[0], RENAMED[arguments[0]]
    typer.echo(f"bench: `bench {former}` is now `bench {name}`; the old name will be removed.", err=True)
    return [name, *arguments[1:]]


def _report_unexpected(error: BaseException, *, debug: bool) -> int:
    """Print a parser's message, or that the command was interrupted, or a bug; raise a bug under --debug."""
    if isinstance(error, typer.Abort) and isinstance(error.__cause__, EOFError):
        error = error.__cause__  # the parser takes any for the end of the user's input
    if INTERRUPTION.signal is not None or isinstance(error, KeyboardInterrupt | typer.Abort):
        return _report_interrupted()  # a library may have made another error of it
    # the parser's errors are recognised by their methods: their classes moved between versions of Typer
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(code, int):
        show()
        return code
    if debug:
        raise error
    expected = _expected_error(error)
    if expected:
        typer.echo(f"bench: {escape(str(expected))}", err=True)
        return expected.exit_code
    typer.echo(f"bench: a bug in bench: {type(error).__name__}: {escape(str(error))}", err=True)
    typer.echo("Run it again with --debug for the traceback, and please report both.", err=True)
    return ExitCode.BUG


def _expected_error(error: BaseException) -> BenchError | None:
    """Return the error of a plug-in, of a lost working folder, or of a path; None for a bug of ours."""
    if plugin := plugin_of(error):
        return plugin.failed(describe(error))
    if not isinstance(error, OSError):
        return None
    try:
        check_working_folder()
    except UsageError as gone:
        return gone
    return _path_error(error)


_UNUSABLE = {
    errno.ENAMETOOLONG: "Shorten the name.",
    errno.EACCES: "Allow it, or name another file or folder.",
}
_UNWRITABLE = {
    errno.ENOSPC: "Free some space, or name another folder.",
    errno.EDQUOT: "Free some space, or name another folder.",
    errno.EROFS: "Name another folder.",
}
"""Errors of the system that any use of a path may meet, with what to do."""

_SHOWN_PATH = 120
"""Characters of a path in such a message: a name that is too long is not shown whole."""


def _path_error(error: OSError) -> BenchError | None:
    """Return the error of a path that cannot be used at all; None for other errors of the system."""
    path = str(error.filename or "")
    where = f"{path[:_SHOWN_PATH]}..." if len(path) > _SHOWN_PATH else path
    if remedy := _UNUSABLE.get(error.errno or 0):
        return UsageError(f"the path cannot be used: {error.strerror}.", where=where, remedy=remedy)
    if remedy := _UNWRITABLE.get(error.errno or 0):
        return StoreError(f"the file cannot be written: {error.strerror}.", where=where, remedy=remedy)
    return None
