"""The option `--protocol`: measure and report by the protocol of another benchmark too."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options.panels import what_option
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions

ProtocolName = Annotated[
    str, what_option("--protocol NAME", "Report by another protocol too: sustainlp2020 (kWh of processes).")
]


def apply_protocol(typer_context: typer.Context, name: str, options: "RunOptions") -> "RunOptions":
    """Return the options that a protocol requires: whole processes, each over the whole sample.

    UsageError where another boundary is given.
    """
    from dataclasses import replace

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
