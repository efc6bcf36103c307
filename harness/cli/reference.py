"""The command reference, generated from the commands' own help.

python -m harness.cli.reference > docs/reference/commands.md
"""

import inspect
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from typer.core import TyperGroup
from typer.main import get_command

from harness.cli.options.panels import ARGUMENTS, PANELS, panel_of

if TYPE_CHECKING:
    from typer import _click as click

HEAD = """# Commands

Every command with its options, generated from their help by `python -m harness.cli.reference`. The options of
`bench run` can also be set in `bench.yaml` (`docs/howto/sweeps.md`): a flag overrides an environment
variable, and that overrides the file. `--debug` with any command prints the traceback of a bug in bench.
"""


def reference() -> str:
    """Return the reference as Markdown."""
    from harness.cli.app import app

    sections = [_section(name, command) for name, command in walk_commands(get_command(app), "bench")]
    return "\n".join([HEAD, *sections])


def walk_commands(command: "click.Command", name: str) -> "Iterator[tuple[str, click.Command]]":
    """Yield a command with its full name, then the commands of a group."""
    yield name, command
    if isinstance(command, TyperGroup):
        for inner_name, inner in command.commands.items():
            yield from walk_commands(inner, f"{name} {inner_name}")


def shown_parameters(command: "click.Command") -> "list[click.Parameter]":
    """Return the arguments and options that `--help` shows, without `--help`."""
    return [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]


def _section(name: str, command: "click.Command") -> str:
    parameters = shown_parameters(command)
    usage = [name, *(_value(each) for each in parameters if panel_of(each) == ARGUMENTS)]
    usage += ["[OPTIONS]"] if any(panel_of(each) != ARGUMENTS for each in parameters) else []
    usage += ["COMMAND ..."] if isinstance(command, TyperGroup) else []
    lines = [f"## {name}", "", f"    {' '.join(usage)}", "", inspect.cleandoc(command.help or ""), ""]
    for panel in PANELS:
        if rows := [_row(each) for each in parameters if panel_of(each) == panel]:
            lines += [f"| {panel} | meaning | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(parameter: "click.Parameter") -> str:
    default = parameter.default
    shown = "" if default is False or not isinstance(default, str | int | float) else str(default)
    meaning = _escape(getattr(parameter, "help", None) or "")
    meaning += f" Or `{parameter.envvar}`." if isinstance(parameter.envvar, str) else ""
    return f"| {_names(parameter)} | {meaning} | {_code(shown)} |"


def _names(parameter: "click.Parameter") -> str:
    if panel_of(parameter) == ARGUMENTS:
        return _code(_value(parameter))
    names = [*parameter.opts, *parameter.secondary_opts]
    return f"{', '.join(map(_code, names))} {_code(_value(parameter))}".strip()


def _value(parameter: "click.Parameter") -> str:
    """Return the placeholder of a value; nothing for a flag."""
    if panel_of(parameter) != ARGUMENTS:
        return parameter.metavar or ""
    name = parameter.metavar or str(parameter.name).upper()
    name = name if parameter.required else f"[{name}]"
    return f"{name}..." if parameter.nargs == -1 else name


def _code(text: str) -> str:
    return f"`{_escape(text)}`" if text else ""


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
