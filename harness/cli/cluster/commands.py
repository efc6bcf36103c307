"""The user's own command as the commands of hosts: its options, its variables, the files that it names."""

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.common.errors import UsageError

if TYPE_CHECKING:
    from typer.core import TyperGroup

    from harness.runs.cluster.point import Point
    from harness.runs.cluster.ray_hosts import RayHost
    from harness.runs.planning.options import RunOptions

OF_THE_DRIVER = (
    "--cluster",
    "--hosts",
    "--per-host",
    "--seeds",
    "--store",
    "--output",
    "--json",
    "--quiet",
    "--busy",
    "--resume",
)
"""Options that are not passed to the hosts as they are."""

_KEPT_HERE = ("BENCH_STORE", "BENCH_CACHE", "BENCH_BUSY")


def new_job() -> str:
    """Return the name of a new job: the time, and a random end."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def point_of(
    typer_context: typer.Context, job: str, name: str, command: str, arguments: Iterable[str]
) -> "Point":
    """Return a command that a host runs in the working folder of the user, with the user's variables."""
    from harness.runs.cluster.point import Point

    environment = _own_variables(typer_context.obj.environ)
    return Point(job, name, tuple(arguments), str(Path.cwd()), environment, command)


def given_arguments(
    typer_context: typer.Context, left_out: Sequence[str] = (), command: str | None = None
) -> list[str]:
    """Return the options that the user gave on the command line, as arguments.

    Those of the driver and `left_out` are not among them, nor any that another `command` does not take.
    """
    arguments: list[str] = []
    taken = _options_of(typer_context, command) if command else None
    for parameter in typer_context.command.params:
        source = typer_context.get_parameter_source(str(parameter.name))
        option, value = parameter.opts[0], typer_context.params.get(str(parameter.name))
        if getattr(source, "name", "") != "COMMANDLINE" or option in (*OF_THE_DRIVER, *left_out):
            continue
        if taken is not None and option not in taken:
            continue
        if isinstance(value, bool):
            arguments += [option] if value else []
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                arguments += [option, str(item)]
    return arguments


def _options_of(typer_context: typer.Context, name: str) -> set[str]:
    """Return the names of the options of another command."""
    assert typer_context.parent is not None  # a command has the program as parent
    program: TyperGroup = typer_context.parent.command  # type: ignore[assignment]
    command = program.get_command(typer_context.parent, name)
    assert command is not None  # callers name commands of ours
    return {parameter.opts[0] for parameter in command.params}


def named_files(planned: "Sequence[RunOptions]", *more: str | Path | None) -> dict[str, str | None]:
    """Return the sha256 of the data and checkpoints of runs, and of `more`, by their absolute paths."""
    from harness.runs.cluster.point import digest_of

    named = [*more, *(path for options in planned for path in (options.data, options.model))]
    paths = [os.path.abspath(path) for path in dict.fromkeys(named) if path and Path(path).exists()]  # noqa: PTH100
    return {path: digest_of(path) for path in paths}


def check_files(hosts: "Sequence[RayHost]", expected: Mapping[str, str | None]) -> None:
    """Raise UsageError unless every host has the same data and checkpoints, by their sha256."""
    for host in hosts:
        for path, digest in host.digests(list(expected)).items() if expected else ():
            if digest != expected[path]:
                problem = "is not there" if digest is None else "differs from the one here (sha256)"
                raise UsageError(
                    f"{path} {problem}.",
                    where=host.name,
                    remedy="Copy it there under the same path, or put it on a shared file system.",
                )


def _own_variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name.startswith("BENCH_") and name not in _KEPT_HERE
    }
