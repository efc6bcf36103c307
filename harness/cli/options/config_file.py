"""`--config` and `bench.yaml`: files with options, of lower precedence than flags and the environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options.execution import Resume
from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import how_option

if TYPE_CHECKING:
    from typer import _click as click
    from typer.core import TyperGroup

    from harness.common.json_types import JsonObject, JsonValue
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
"""Options that a sweep can cross, with their fields of `RunOptions`."""

OTHERS = ("gate",)
"""Sections of `bench.yaml` that other commands read."""

SETUP = "setup"
"""The option of `bench gate` that `bench.yaml` may set: what makes the model of a user's own project."""

NO_DEFAULT = ("config", "dry-run", "resume", "cluster", "hosts", "per-host", "help")
"""Options that no file may set: they are about one call."""

_AXES = "harness.runs.axes"


def read_config(typer_context: typer.Context, file: Path | None) -> Path | None:
    """Read the file before any other option is parsed, and make its values the options' defaults."""
    from harness.runs.planning.sweep_file import read_sweep_file

    if file is not None:
        parameters = _parameters(typer_context.command)
        config = read_sweep_file(file, _allowed_names(parameters))
        defaults = _checked_defaults(typer_context, config, parameters)
        typer_context.default_map = {**(typer_context.default_map or {}), **defaults}
        typer_context.meta[_AXES] = {
            name: [_convert(typer_context, parameters[name], value) for value in values]
            for name, values in config.axes.items()
        }
    return file


class RunControl(OptionGroup):
    """Where options come from, and whether a run is planned only, new or resumed."""

    config: Annotated[
        Path | None,
        how_option(
            "--config FILE",
            "Read options from a YAML file; lists under `sweep:` are crossed (docs/howto/sweeps.md).",
            is_eager=True,
            callback=read_config,
        ),
    ] = None
    dry_run: Annotated[
        bool, how_option("--dry-run", "Show cells, groups, rounds and the expected time; measure nothing.")
    ] = False
    resume: Resume = None


def cross_options(typer_context: typer.Context, options: "RunOptions") -> "list[RunOptions]":
    """Return the options of each run: one, or one for each combination of the crossed values.

    A flag and the environment override a list of values too.
    """
    from dataclasses import replace

    from harness.runs.planning.sweep_file import combinations

    parameters = _parameters(typer_context.command)
    axes = {
        CROSSED[name]: values
        for name, values in typer_context.meta.get(_AXES, {}).items()
        if not _overridden(typer_context, parameters[name])
    }
    return [replace(options, **point) for point in combinations(axes)]


def read_defaults(typer_context: typer.Context, path: Path, environ: Mapping[str, str]) -> None:
    """Make the values of `bench.yaml`, if present, the defaults of every command that has such an option."""
    if not path.exists():
        return
    from harness.common.errors import UsageError
    from harness.runs.planning.sweep_file import read_sweep_file

    commands = dict(_commands(typer_context))
    config = read_sweep_file(path, _allowed_names(_default_parameters(commands)))
    if config.axes:
        raise UsageError(
            "a sweep cannot be a default.",
            where=path.name,
            remedy="Put it into a file for `bench run --config`.",
        )
    typer_context.default_map = {
        name: {
            parameters[option].name: setting.value
            for option, setting in config.settings.items()
            if option in (parameters := _parameters(command))
            and not (option == "store" and "BENCH_STORE" in environ)
        }
        for name, command in commands.items()
    }


def read_options(typer_context: typer.Context, path: Path) -> "SweepConfig":
    """Return the options in a file of any kind; UsageError names the line of one that `bench` does not take.

    `typer_context` is that of a command, whose parent is the program.
    """
    from harness.runs.planning.sweep_file import read_sweep_file

    program = typer_context.parent
    assert program is not None  # a command has one
    parameters = _default_parameters(dict(_commands(program)))
    config = read_sweep_file(path, _allowed_names(parameters))
    _checked_defaults(typer_context, config, parameters)
    for name, values in config.axes.items():
        for value in values:
            _convert(typer_context, parameters[name], value)
    return config


def _default_parameters(commands: "Mapping[str, click.Command]") -> "dict[str, click.Parameter]":
    """Return what `bench.yaml` may set: the options of `bench run`, and a gate's setup command."""
    return {**_parameters(commands["run"]), SETUP: _parameters(commands["gate"])[SETUP]}


def _commands(typer_context: "click.Context") -> "Iterator[tuple[str, click.Command]]":
    group: TyperGroup = typer_context.command  # type: ignore[assignment]
    for name in group.list_commands(typer_context):
        if command := group.get_command(typer_context, name):
            yield name, command


def _parameters(command: "click.Command") -> "dict[str, click.Parameter]":
    """Return the parameters of a command by the names of their options, without the dashes."""
    return {
        name.removeprefix("--"): parameter
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--") and name.removeprefix("--") not in NO_DEFAULT
    }


def _allowed_names(parameters: "Mapping[str, click.Parameter]") -> "AllowedNames":
    from harness.runs.planning.sweep_file import AllowedNames

    crossed = tuple(name for name in CROSSED if name in parameters)
    repeated = tuple(name for name, parameter in parameters.items() if getattr(parameter, "multiple", False))
    return AllowedNames(tuple(parameters), LISTS, crossed, OTHERS, repeated)


def _checked_defaults(
    typer_context: typer.Context, config: "SweepConfig", parameters: "Mapping[str, click.Parameter]"
) -> "JsonObject":
    """Return the values by parameter, each converted now, while its line is known."""
    for name, setting in config.settings.items():
        _convert(typer_context, parameters[name], setting)
    return {str(parameters[name].name): setting.value for name, setting in config.settings.items()}


def _convert(typer_context: typer.Context, parameter: "click.Parameter", setting: "Setting") -> "JsonValue":
    from harness.common.errors import UsageError

    try:
        return parameter.process_value(typer_context, setting.value)
    except typer.BadParameter as error:
        raise UsageError(f"{parameter.opts[0]}: {error.message}", where=setting.where) from None


def _overridden(typer_context: typer.Context, parameter: "click.Parameter") -> bool:
    source = typer_context.get_parameter_source(str(parameter.name))
    return getattr(source, "name", "") in ("COMMANDLINE", "ENVIRONMENT")
