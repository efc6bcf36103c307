"""`--config` and `bench.yaml`: what files say is the default of options, below flags and the environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions
    from harness.runs.planning.sweep_file import AllowedNames, Setting, SweepConfig

LISTS = ("task", "variants", "scenario", "batch", "rate", "device")
"""Options of `bench run` that take several values: one run for all of them, of tasks one each."""

CROSSED = {
    "threads": "threads",
    "instances": "instances",
    "max-length": "max_length",
    "boundary": "boundary",
    "model": "model",
    "seed": "seed",
}
"""Options that can be crossed, with their fields of `RunOptions`."""

OTHERS = ("gate", "compare")
"""What stands in `bench.yaml` for other commands."""

NO_DEFAULT = ("config", "dry-run", "resume", "help")
"""Options that are about one command, and so in no file."""

_AXES = "harness.runs.axes"


def configured(context: typer.Context, file: Path | None) -> Path | None:
    """Read the file before any other option is looked at, and make what it says the options' defaults."""
    from harness.runs.planning.sweep_file import read_sweep_file

    if file is not None:
        known = _parameters(context.command)
        found = read_sweep_file(file, _names(known))
        context.default_map = {**(context.default_map or {}), **_defaults(context, found, known)}
        context.meta[_AXES] = {
            name: [_cast(context, known[name], one) for one in values] for name, values in found.axes.items()
        }
    return file


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=configured,
        help="Options from a YAML file; lists under `sweep:` are crossed, a run each (docs/sweeps.md).",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show cells, groups, rounds and the time they take; measure nothing."),
]


def crossed(context: typer.Context, wanted: "RunOptions") -> "list[RunOptions]":
    """Return the options of each run: one, or one for each combination of what is crossed.

    A flag, or the environment, has its say over a list of values too.
    """
    from dataclasses import replace

    from harness.runs.planning.sweep_file import combinations

    known = _parameters(context.command)
    axes = {
        CROSSED[name]: values
        for name, values in context.meta.get(_AXES, {}).items()
        if not _said(context, known[name])
    }
    return [replace(wanted, **point) for point in combinations(axes)]


def read_defaults(context: typer.Context, path: Path, environ: Mapping[str, str]) -> None:
    """Make what `bench.yaml` says, if it is there, the defaults of every command that has such an option."""
    if not path.exists():
        return
    from harness.common.errors import UsageError
    from harness.runs.planning.sweep_file import read_sweep_file

    commands = dict(_commands(context))
    found = read_sweep_file(path, _names(_parameters(commands["run"])))
    if found.axes:
        raise UsageError(
            "a sweep is no default.", where=path.name, remedy="Put it into a file for `bench run --config`."
        )
    context.default_map = {
        name: {
            known[option].name: setting.value
            for option, setting in found.settings.items()
            if option in (known := _parameters(command))
            and not (option == "store" and "BENCH_STORE" in environ)
        }
        for name, command in commands.items()
    }


def _commands(context: typer.Context) -> Iterator[tuple[str, Any]]:
    group: Any = context.command
    for name in group.list_commands(context):
        yield name, group.get_command(context, name)


def _parameters(command: Any) -> dict[str, Any]:  # noqa: ANN401 -- the parser's classes moved between versions
    """Return the parameters of a command by the names of their options, without the dashes."""
    return {
        word.removeprefix("--"): each
        for each in command.params
        for word in each.opts
        if word.startswith("--") and word.removeprefix("--") not in NO_DEFAULT
    }


def _names(known: Mapping[str, Any]) -> "AllowedNames":
    from harness.runs.planning.sweep_file import AllowedNames

    return AllowedNames(tuple(known), LISTS, tuple(name for name in CROSSED if name in known), OTHERS)


def _defaults(context: typer.Context, found: "SweepConfig", known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by parameter, each tried now, while its line is known."""
    for name, setting in found.settings.items():
        _cast(context, known[name], setting)
    return {known[name].name: setting.value for name, setting in found.settings.items()}


def _cast(context: typer.Context, parameter: Any, setting: "Setting") -> Any:  # noqa: ANN401 -- as above
    from harness.common.errors import UsageError

    try:
        return parameter.process_value(context, setting.value)
    except typer.BadParameter as problem:
        raise UsageError(f"{parameter.opts[0]}: {problem.message}", where=setting.where) from None


def _said(context: typer.Context, parameter: Any) -> bool:  # noqa: ANN401 -- as above
    source = context.get_parameter_source(parameter.name)
    return getattr(source, "name", "") in ("COMMANDLINE", "ENVIRONMENT")
