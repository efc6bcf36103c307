"""`bench export`: write a variant as a folder that serves it without this project."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.completion import complete_variant
from harness.cli.options.data import CheckedData
from harness.cli.options.execution import EncodingOptions
from harness.cli.options.groups import run_options
from harness.cli.options.output import Output, OutputFolder
from harness.cli.options.panels import plain_option, what_option
from harness.cli.options.selection import LadderParameters, ModelName, load_ladder
from harness.cli.options.units import format_size
from harness.cli.output.terminal import print_json
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.common.json_types import JsonObject
    from harness.records.ladder import Ladder

ServerName = Annotated[
    str,
    plain_option("--server NAME", "Add what this model server loads: litserve, mlserver, triton or ovms."),
]


def export(
    context: CliContext,
    variant: Annotated[
        str,
        typer.Argument(
            metavar="VARIANT",
            help="Variant to export (see `bench list`), or with --ladder a rung.",
            autocompletion=complete_variant,
        ),
    ],
    data: CheckedData,
    encoding: EncodingOptions,
    output: Output,
    folder: OutputFolder,
    model: ModelName = "embedded",
    ladder: Annotated[str | None, what_option("--ladder NAME|FILE", "Ladder whose rung VARIANT is.")] = None,
    parameters: LadderParameters = None,
    server: ServerName = "",
) -> None:
    """Write a folder with model, tokenizer and serving script. Checks that it gives the variant's answers."""
    from harness.cli.models.model_card import add_model_card
    from harness.cli.output.progress import progress_reporter
    from harness.runs.export import export as export_variant
    from harness.runs.planning.variant_words import single_variant

    catalog = context.catalog()
    options = replace(
        run_options(data, encoding),
        model=model,
        variants=None if ladder else single_variant(variant),
        ladder=_ladder(ladder, variant, parameters, catalog),
    )
    with progress_reporter(quiet=output.quiet) as progress:
        facts = export_variant(options, folder, catalog, context.cache(), context.machine(), progress, server)
    card = add_model_card(folder, context.open_store(None), facts)
    if output.json:
        print_json({"folder": str(folder), **facts})
    else:
        typer.echo(f"{_format(facts, folder)}\n{card}")


def _ladder(name: str | None, rung: str, parameters: list[str] | None, catalog: "Catalog") -> "Ladder | None":
    if name:
        return load_ladder(name, rung, parameters, catalog)
    if parameters:
        raise UsageError("a parameter needs its ladder.", where="--set", remedy="Name it with --ladder.")
    return None


def _format(facts: "JsonObject", folder: Path) -> str:
    check, size = facts["check"], sum(file["bytes"] for file in facts["files"].values())
    variant = f"{facts['variant']} of {facts['model']['name']} for {facts['task']}"
    return (
        f"{variant}, {format_size(size)}: {folder}\n"
        f"Checked: serve.py gives the system's answers to {check['requests']} requests; "
        f"the largest difference of a logit is {check['max_logit_difference']:.2g}. "
        f"`serve.py --check` repeats {check['repeatable']} of them.\n"
        f"How to serve it: {folder / 'README.md'}; its licences: {folder / 'LICENSES.md'}"
    )
