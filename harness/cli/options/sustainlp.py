"""The option `--protocol`: measure and report the way another benchmark did, beside our own figures."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions

ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="Report by another's protocol too: sustainlp2020 (kWh of whole processes, --boundary process).",
    ),
]


def by_protocol(context: typer.Context, name: str, wanted: "RunOptions") -> "RunOptions":
    """Return the options as the protocol asks for them: whole programs, each start over the whole sample.

    UsageError where another boundary was named.
    """
    from dataclasses import replace

    from harness.analysis.sustainlp import protocol_settings

    protocol = protocol_settings(name, context.obj.environ)
    if protocol is None:
        return wanted
    source = context.get_parameter_source("boundary")
    if source and source.name != "DEFAULT" and wanted.boundary != "process":
        raise UsageError(
            f"protocol {name} measures whole programs, and --boundary {wanted.boundary} was named.",
            remedy="Leave out --boundary: the protocol sets it to process.",
        )
    return replace(wanted, boundary="process", protocol=protocol)
