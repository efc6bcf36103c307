"""The command reference, made from what the commands themselves declare.

    python -m harness.cli.reference > docs/commands.md

It reads the functions and their annotations, not the parser, whose classes moved between versions of typer.
"""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

HEAD = """# Commands

All commands with all their options, made from their help by `python -m harness.cli.reference`. The options of
`bench run` can also stand in `bench.yaml` (`docs/sweeps.md`): a flag comes before an environment variable,
and that before the file. `--debug` with any command shows the traceback of a bug of ours.
"""

_TYPES = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option, or an argument: how it is written, what it takes, what it means, what it is by default."""

    names: tuple[str, ...]
    takes: str
    help: str
    envvar: str
    default: str
    argument: bool = False


def reference() -> str:
    """Return the reference as Markdown."""
    from harness.cli.app import app

    return "\n".join([HEAD, *(line for each in commands(app) for line in _section(*each))])


def commands(app: typer.Typer, name: str = "bench") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every command with its full name: the program itself, its commands, and those of its groups."""
    if app.registered_callback and app.registered_callback.callback:
        yield name, app.registered_callback.callback
    for each in app.registered_commands:
        if each.callback:
            yield f"{name} {each.name or each.callback.__name__}", each.callback
    for group in app.registered_groups:
        if group.typer_instance:
            yield from commands(
                group.typer_instance, f"{name} {group.name or group.typer_instance.info.name}"
            )


def parameters(callback: Callable[..., Any]) -> list[Parameter]:
    """Return the arguments and options of a command, in their order."""
    hints = typing.get_type_hints(callback, include_extras=True)
    signature = inspect.signature(callback).parameters
    return [
        found for name, each in signature.items() if (found := _parameter(name, hints[name], each.default))
    ]


def _parameter(name: str, hint: Any, default: Any) -> Parameter | None:  # noqa: ANN401 -- annotations
    metadata = getattr(hint, "__metadata__", ())
    info = next((each for each in metadata if isinstance(each, OptionInfo | ArgumentInfo)), None)
    if info is None and isinstance(default, OptionInfo | ArgumentInfo):
        info, default = default, default.default
    if info is None or info.hidden:
        return None
    kind = hint.__origin__ if metadata else hint
    # in an annotation the first name lands where the default is otherwise
    first = (info.default,) if metadata and isinstance(info.default, str) else ()
    return Parameter(
        names=(*first, *(info.param_decls or ())) or (f"--{name.replace('_', '-')}",),
        takes=info.metavar or _takes(kind, name, argument=isinstance(info, ArgumentInfo)),
        help=info.help or "",
        envvar=info.envvar if isinstance(info.envvar, str) else "",
        default=str(default) if isinstance(default, str | int | float) and default not in ("", False) else "",
        argument=isinstance(info, ArgumentInfo),
    )


def _takes(kind: Any, name: str, *, argument: bool) -> str:  # noqa: ANN401 -- an annotation
    """Return what stands behind an option: nothing for a flag, the choices of a literal, or a type."""
    if argument:
        return name.upper()
    inner = [each for each in typing.get_args(kind) if each is not types.NoneType]
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(map(str, inner))
    if inner:
        return _takes(inner[0], name, argument=False)
    return _TYPES.get(kind, "")


def _section(name: str, callback: Callable[..., Any]) -> list[str]:
    found = parameters(callback)
    words = [name, *(each.takes for each in found if each.argument)]
    words += ["[OPTIONS]"] if any(not each.argument for each in found) else []
    about = inspect.cleandoc(callback.__doc__ or "")
    return [f"## {name}", "", f"    {' '.join(words)}", "", about, "", *_table(found)]


def _table(found: Sequence[Parameter]) -> list[str]:
    rows = [f"| {_names(each)} | {_help(each)} | {_code(each.default)} |" for each in found]
    return ["| option | meaning | default |", "|---|---|---|", *rows, ""] if rows else []


def _names(each: Parameter) -> str:
    if each.argument:
        return _code(each.takes)
    names = [word for name in each.names for word in name.split("/")]
    return f"{', '.join(map(_code, names))} {_code(each.takes)}".strip()


def _help(each: Parameter) -> str:
    return _cell(each.help) + (f" Or `{each.envvar}`." if each.envvar else "")


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
