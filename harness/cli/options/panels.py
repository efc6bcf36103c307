"""Declarations of options by panel: the headings under which `--help` and the command reference show them.

`data_option("--text NAME", "Column.")` is `typer.Option` with a name, a placeholder, help and a panel.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from typer.models import OptionInfo

from harness.cli.options.completion import BY_OPTION

if TYPE_CHECKING:
    from typer import _click as click  # Typer's copy of click; its older versions import click itself

ARGUMENTS, OPTIONS = "Arguments", "Options"
PANELS = (ARGUMENTS, "Gate", OPTIONS, "Data", "What", "How much", "How", "Output")
"""The order of the panels; `Options` holds what belongs to one command alone."""


def declare_option(panel: str, usage: str, text: str, **settings: Any) -> OptionInfo:  # noqa: ANN401 -- Typer's
    """Return an option; `usage` is its names and the placeholder of its value, as help shows them."""
    parts = usage.split(" ")
    names = [word for word in parts if word.startswith("-")]
    metavar = " ".join(parts[len(names) :]) or None
    completions = [BY_OPTION[name] for name in names if name in BY_OPTION]
    if completions and metavar and "|" not in metavar.replace("|DIR", "").replace("|FILE", ""):
        settings = {"autocompletion": completions[0], **settings}
    option: OptionInfo = typer.Option(*names, metavar=metavar, help=text, rich_help_panel=panel, **settings)
    return option


plain_option = partial(declare_option, OPTIONS)
gate_option = partial(declare_option, "Gate")
data_option = partial(declare_option, "Data")
what_option = partial(declare_option, "What")
amount_option = partial(declare_option, "How much")
how_option = partial(declare_option, "How")
output_option = partial(declare_option, "Output")


def panel_of(parameter: "click.Parameter") -> str:
    """Return the panel under which an option or argument is shown."""
    if parameter.param_type_name == "argument":
        return ARGUMENTS
    return getattr(parameter, "rich_help_panel", None) or OPTIONS
