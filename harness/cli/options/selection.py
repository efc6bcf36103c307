"""The options under `What`: model, device, variants, scenarios, ladder, and the protocol of others."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import what_option
from harness.cli.options.units import named, split_names
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.records.ladder import Ladder
    from harness.runs.planning.options import RunOptions

ModelName = Annotated[
    str,
    what_option(
        "--model NAME|DIR",
        "embedded, a checkpoint folder or a hub name; m/{task} names a folder for each task.",
        envvar="BENCH_MODEL",
    ),
]
DeviceName = Annotated[str, what_option("--device NAME", "cpu, cuda or cuda:N.", envvar="BENCH_DEVICE")]
ScenarioNames = Annotated[
    str, what_option("--scenario NAME,...", "single-stream (default), batch, offline or server.")
]
Boundary = Annotated[
    Literal["encoded", "text", "process"],
    what_option("--boundary encoded|text|process", "What is timed: ids to logits, text to label, or files."),
]


class ModelOptions(OptionGroup):
    """A model on one device."""

    model: ModelName = "embedded"
    device: DeviceName = "cpu"


class DevicesOptions(ModelOptions):
    """A model on one device or several."""

    device: Annotated[
        str,
        what_option(
            "--device NAME,...",
            "cpu, cuda or cuda:N; several are measured in turn and not compared with one another.",
            envvar="BENCH_DEVICE",
        ),
    ] = "cpu"


class VariantOptions(OptionGroup):
    """Which variants are measured, in which scenarios, and what the clock includes."""

    variants: Annotated[
        str | None,
        what_option(
            "--variants NAME,...",
            "Variants of `bench list` to compare; or all, default (if left out) or cpu: all that run there.",
        ),
    ] = None
    scenario: ScenarioNames = ""
    boundary: Boundary = "encoded"

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set variants, scenarios and boundary."""
        variants = None if self.variants is None else named(self.variants, "--variants")
        scenarios = split_names(self.scenario)
        return replace(options, variants=variants, scenarios=scenarios, boundary=self.boundary)


LadderParameters = Annotated[
    list[str] | None, what_option("--set NAME=VALUE", "Parameter of the ladder: student=minilm; repeatable.")
]


class LadderOptions(OptionGroup):
    """A ladder, its rungs and its parameters."""

    ladder: Annotated[
        str, what_option("--ladder NAME|FILE", "Ladder of `bench list`, or your own as YAML.")
    ] = "fastformers"
    rungs: Annotated[str | None, what_option("--rungs NAME,...", "Only these rungs (default: all).")] = None
    parameters: LadderParameters = None

    def load(self, catalog: "Catalog") -> "Ladder":
        """Return the ladder, with only the named rungs."""
        return load_ladder(self.ladder, self.rungs, self.parameters, catalog)


class SearchLadder(LadderOptions):
    """The ladder whose rungs `bench search` tries."""

    ladder: Annotated[str, what_option("--ladder NAME|FILE", "Ladder to search; search is made for it.")] = (
        "search"
    )


class SearchGoal(OptionGroup):
    """What the search maximises, and the quality it may lose."""

    max_quality_loss: Annotated[
        float,
        what_option("--max-quality-loss POINTS", "Largest loss of the first metric, in points.", min=0.0),
    ] = 1.0
    objective: Annotated[
        Literal["speed", "energy", "quality"],
        what_option("--objective speed|energy|quality", "Minimise time or joules, or maximise the score."),
    ] = "speed"


def load_ladder(name: str, rungs: str | None, parameters: list[str] | None, catalog: "Catalog") -> "Ladder":
    """Return a ladder of the catalog, or the user's own from a file, with only these of its rungs."""
    from harness.common.errors import unknown_name
    from harness.records.ladder import parse_ladder, parse_parameters, read_ladder

    values = parse_parameters(tuple(parameters or ()))
    if name in catalog.ladders:
        ladder = parse_ladder(catalog.ladders[name], name, values)
    elif Path(name).suffix in (".yaml", ".yml") or Path(name).is_file():
        ladder = read_ladder(Path(name), values)
    else:
        raise unknown_name("ladder", name, catalog.ladders)
    return ladder if rungs is None else ladder.only(named(rungs, "--rungs"))


ProtocolName = Annotated[
    str, what_option("--protocol NAME", "Report by another protocol too: sustainlp2020 (kWh of processes).")
]


def apply_protocol(typer_context: typer.Context, name: str, options: "RunOptions") -> "RunOptions":
    """Return the options that a protocol requires: whole processes, each over the whole sample.

    UsageError where another boundary is given.
    """
    from harness.analysis.sustainlp import protocol_settings

    protocol = protocol_settings(name, typer_context.obj.environ)
    if protocol is None:
        return options
    source = typer_context.get_parameter_source("boundary")
    if source and source.name != "DEFAULT" and options.boundary != "process":
        raise UsageError(
            f"protocol {name} measures whole processes, got --boundary {options.boundary}.",
            remedy="Leave out --boundary: the protocol sets it to process.",
        )
    return replace(options, boundary="process", protocol=protocol)
