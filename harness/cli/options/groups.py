"""Groups of options: a parameter of a command is a dataclass, and its fields are the command's options.

    def gate(context: CliContext, data: MeasuredData, output: RecordOutput, seed: Seed = 0)
        --expand_options-->
    def gate(typer_context, task, data, text, label, ..., store, json, quiet, seed)

Typer reads the signature of a function, so the expanded one has a signature of its own (fastapi/typer#154).
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, dataclass_transform

import typer
from typer.core import TyperCommand, TyperGroup

from harness.cli.context import CliContext
from harness.cli.options.panels import OPTIONS, PANELS, panel_of

if TYPE_CHECKING:
    from typer import _click as click  # Typer's copy of click; its older versions import click itself

    from harness.runs.planning.options import RunOptions

Command = Callable[..., None]

_HELP_COLUMN = 30
"""Longer options have their help on the next line."""


@dataclass_transform(frozen_default=True)
class OptionGroup:
    """Options that belong together: a subclass is a frozen dataclass whose fields are `Annotated` options."""

    def __init_subclass__(cls) -> None:
        """Make the subclass a dataclass, without the methods that nothing here calls, for a quick start."""
        dataclass(frozen=True, repr=False, eq=False)(cls)

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Return the options of a run with this group's: fields of the same name are copied."""
        names = {field.name for field in fields(options)} & {field.name for field in fields(self)}  # type: ignore[arg-type]
        return replace(options, **{name: getattr(self, name) for name in names})


def run_options(*groups: OptionGroup) -> "RunOptions":
    """Return the options of a run that these groups amount to."""
    from harness.runs.planning.options import RunOptions

    options = RunOptions(task="")
    for group in groups:
        options = group.apply(options)
    return options


def expand_options(command: Command) -> Command:
    """Return a command whose parameters that are option groups are replaced by the groups' fields.

    A parameter of type `CliContext` is taken from Typer's context, which is passed on too if it is declared.
    """
    declared = inspect.signature(command).parameters
    groups = {name: one.annotation for name, one in declared.items() if _is_group(one.annotation)}
    contexts = [name for name, each in declared.items() if each.annotation is CliContext]
    expanded_parameters = [inspect.Parameter("typer_context", _KEYWORD, annotation=typer.Context)]
    for name, parameter in declared.items():
        if name in groups:
            expanded_parameters += _parameters(groups[name])
        elif name not in (*contexts, "typer_context"):
            expanded_parameters.append(parameter.replace(kind=_KEYWORD))

    @functools.wraps(command)
    def expanded(typer_context: typer.Context, **values: object) -> None:
        arguments = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        arguments |= dict.fromkeys(contexts, typer_context.obj)
        if "typer_context" in declared:
            arguments["typer_context"] = typer_context
        command(**arguments, **values)

    expanded.__signature__ = inspect.Signature(expanded_parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {each.name: each.annotation for each in expanded_parameters}
    return expanded


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, OptionGroup)


def _parameters(group: type[OptionGroup]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(field.name, _KEYWORD, default=field.default, annotation=field.type)
        for field in fields(group)  # type: ignore[arg-type]
    ]


DEBUG_HELP = "Print the traceback of a bug, and what workers log."
"""The help of `--debug`, which is taken out before any command is parsed (`harness.cli.app`)."""


class PanelCommand(TyperCommand):
    """A command whose help shows options by panel, as plain text: Typer's panels need rich, which is slow."""

    def format_options(self, ctx: "click.Context", formatter: "click.HelpFormatter") -> None:
        """Write a section for each panel."""
        panels: dict[str, list[tuple[str, str]]] = {name: [] for name in PANELS}
        for parameter in self.params:
            if record := parameter.get_help_record(ctx):
                panels[panel_of(parameter)].append(record)
        shown = {name: rows for name, rows in panels.items() if rows} or {OPTIONS: []}
        if (help_option := self.get_help_option(ctx)) and (record := help_option.get_help_record(ctx)):
            list(shown.values())[-1] += [("--debug", DEBUG_HELP), record]
        terms = [len(term) for rows in shown.values() for term, _ in rows]
        width = min(max(terms), _HELP_COLUMN)
        for name, rows in shown.items():
            with formatter.section(name):
                formatter.write_dl([(term.ljust(width), text) for term, text in rows])


class PanelGroup(TyperGroup):
    """A group of commands whose help shows them by panel."""

    def format_commands(self, ctx: "click.Context", formatter: "click.HelpFormatter") -> None:  # noqa: ARG002
        """Write a section for each panel, in the order of the commands."""
        limit = formatter.width - 6 - max(map(len, self.commands))
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            panels.setdefault(panel, []).append((name, command.get_short_help_str(limit)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


def option_app(help_text: str, *, completes: bool = False) -> typer.Typer:
    """Return an application with plain help, by panel; with `completes`, shells can complete its words."""
    return typer.Typer(
        cls=PanelGroup,
        help=help_text,
        no_args_is_help=True,
        add_completion=completes,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": 110},
    )


def add_command(app: typer.Typer, name: str, command: Command, panel: str | None = None) -> None:
    """Add a command, its option groups expanded."""
    app.command(name, cls=PanelCommand, rich_help_panel=panel)(expand_options(command))
