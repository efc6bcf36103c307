"""`bench meter`: the energy counters of this machine for a benchmark on another one."""

from contextlib import suppress
from socket import gaierror
from typing import Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.execution import MeterName
from harness.cli.options.groups import add_command, option_app
from harness.cli.options.panels import plain_option
from harness.common.errors import UsageError

PORT = 9299


def serve(
    context: CliContext,
    meter: MeterName = "",
    host: Annotated[str, plain_option("--host ADDRESS", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, plain_option("--port N", "Port to listen on; 0 chooses a free one.", min=0, max=65535)
    ] = PORT,
) -> None:
    """Hand the energy counters of this machine to clients that have the token of BENCH_METER_TOKEN."""
    from harness.measurement.energy.external.agent import MeterAgent, counters_of, token_from
    from harness.runs.planning.meter_selection import select_meter

    token = token_from(context.environ)
    counters = counters_of(select_meter(context.machine(), "cpu", meter).choice)
    try:
        agent = MeterAgent(counters, token, host, port)
    except (gaierror, UnicodeError) as problem:
        raise UsageError(
            f"{host!r} is no address of this machine: {problem}.",
            where="--host",
            remedy="Name an IPv4 address of it, or 0.0.0.0 for all.",
        ) from None
    except OSError as problem:
        raise UsageError(
            f"port {port} of {host} cannot be listened on: {problem}.",
            where="--port",
            remedy="Name a port that is free, or 0.",
        ) from None
    zones = ", ".join(f"{zone.name} ({zone.scope})" for zone in counters.zones())
    typer.echo(f"{counters.name} at http://{host}:{agent.server_port}: {zones}. Ctrl-C ends it.")
    with agent, suppress(KeyboardInterrupt):
        agent.serve_forever()


meter_app = option_app("Hand the energy counters of this machine to a benchmark on another one.")
add_command(meter_app, "serve", serve)
