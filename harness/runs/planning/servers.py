"""The model servers of a run, from the options that name them; checked before anything is started.

    --system-url NAME=URL, --system-server NAME:COMMAND, ... --parse_servers--> ServerDefinition

A value that begins with `NAME:` is of that server alone, any other of all servers.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from harness.catalog import NULL_SERVER, Catalog
from harness.common.errors import UsageError, unknown_name
from harness.common.inputs.yaml_text import read_yaml
from harness.common.json_types import JsonObject
from harness.measurement.energy.external.agent import token_from
from harness.measurement.energy.external.distant import is_exporter
from harness.systems.server import CONNECTIONS, GRPC, PROTOCOLS, ServerDefinition, is_grpc

if TYPE_CHECKING:
    from harness.workload.tasks.base import Task

MOST_CONNECTIONS = 1024

TOKEN = "BENCH_SYSTEM_TOKEN"  # noqa: S105 -- the name of a variable

PORT = "{port}"
"""Stands in URL and command for the port that is chosen."""

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,39})=(?P<url>[a-z]+://.*)", re.DOTALL)
_SCHEMES = ("http", "https", "grpc", "grpcs")
_LOCAL = ("127.0.0.1", "::1", "localhost")
_URL = "As in http://127.0.0.1:8000/v2/models/rte/infer, or NAME=URL."


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerArguments:
    """The options about servers as they were given; `connections` is None where it was not."""

    urls: Sequence[str] = ()
    commands: Sequence[str] = ()
    protocols: Sequence[str] = ()
    templates: Sequence[str] = ()
    labels: Sequence[str] = ()
    separators: Sequence[str] = ()
    pids: Sequence[str] = ()
    cgroups: Sequence[str] = ()
    meters: Sequence[str] = ()
    connections: int | None = None


def parse_servers(arguments: ServerArguments) -> tuple[ServerDefinition, ...]:
    """Return the servers that the options name; UsageError for one that cannot be measured as named."""
    urls = _named_urls(arguments.urls)
    others = (
        *(arguments.commands, arguments.protocols, arguments.templates, arguments.labels),
        *(arguments.separators, arguments.pids, arguments.cgroups, arguments.meters),
    )
    if not urls and any(others):
        raise UsageError(
            "the options of a server need the server.",
            where="--system-url",
            remedy=f"Add --system-url. {_URL}",
        )
    _check_connections(arguments.connections)
    servers = tuple(_server(name, url, arguments, tuple(urls)) for name, url in urls.items())
    _check_commands(arguments.commands, tuple(urls))
    _check_token(servers)
    return servers


def check_servers(servers: Sequence[ServerDefinition], task: "Task") -> None:
    """Raise UsageError for a label of `--system-labels` that the task does not have."""
    for server in servers:
        for label in server.labels.values():
            if label not in task.labels:
                raise _labels_error(f"{label!r} is not a label of {task.name}: {', '.join(task.labels)}")


def with_null_server(
    servers: tuple[ServerDefinition, ...], variants: Sequence[str], catalog: Catalog, connections: int | None
) -> tuple[ServerDefinition, ...]:
    """Return the servers, with the one that answers at once if it is among the variants."""
    if NULL_SERVER not in variants or NULL_SERVER in [server.name for server in servers]:
        return servers
    definition: ServerDefinition = catalog.variant(NULL_SERVER).definition  # type: ignore[attr-defined]
    return (*servers, replace(definition, connections=connections or CONNECTIONS))


def server_facts(servers: Sequence[ServerDefinition]) -> JsonObject:
    """Return what the configuration in a record holds: no URL, no command, no pid."""
    return {
        server.name: {
            "protocol": server.protocol or "found",
            "connections": server.connections,
            **({"labels": dict(server.labels)} if server.labels else {}),
            **({"separator": server.separator} if server.separator else {}),
            **({"meter": "on its machine"} if server.meter else {}),
        }
        for server in servers
    }


def _named_urls(values: Sequence[str]) -> dict[str, str]:
    """Return URLs by the names of their servers; those without a name are served, served-2, ..."""
    urls: dict[str, str] = {}
    for number, value in enumerate(values, 1):
        match = _NAMED.fullmatch(value)
        name = match["name"] if match else "served" if number == 1 else f"served-{number}"
        if name in urls:
            raise UsageError(
                f"two servers have the name {name!r}.", where="--system-url", remedy="Name each: NAME=URL."
            )
        urls[name] = match["url"] if match else value
    return urls


def _server(name: str, url: str, arguments: ServerArguments, names: Sequence[str]) -> ServerDefinition:
    def one(values: Sequence[str], option: str) -> str:
        return _value(values, name, names, option)

    command = one(arguments.commands, "--system-server")
    _check_url(url, command)
    template = one(arguments.templates, "--system-template")
    server = ServerDefinition(
        name=name,
        url=url,
        protocol=one(arguments.protocols, "--system-protocol") or _implied_protocol(url, template),
        connections=arguments.connections or CONNECTIONS,
        labels=_labels(one(arguments.labels, "--system-labels")),
        separator=one(arguments.separators, "--system-separator"),
        template=_template(template) if template else {},
        command=command,
        pid=_pid(one(arguments.pids, "--system-pid")),
        cgroup=one(arguments.cgroups, "--system-cgroup"),
        meter=_meter(one(arguments.meters, "--system-meter")),
    )
    _check_server(server)
    return server


def _implied_protocol(url: str, template: str) -> str:
    return "json" if template else GRPC if is_grpc(url) else ""


def _value(values: Sequence[str], name: str, names: Sequence[str], option: str) -> str:
    """Return the value for one server: its own, or that of all; empty if there is none."""
    own = [value.removeprefix(f"{name}:") for value in values if value.startswith(f"{name}:")]
    shared = [value for value in values if not value.startswith(tuple(f"{other}:" for other in names))]
    if len(own) > 1 or len(shared) > 1:
        raise UsageError(
            f"{option} has several values for one server.",
            where=option,
            remedy=f"Begin each with the name of its server: {names[0]}:VALUE.",
        )
    return (own or shared or [""])[0]


def _check_url(url: str, command: str) -> None:
    """Raise UsageError unless it is an URL of HTTP without a password."""
    parts = _split(url.replace(PORT, "1"))
    if parts is None or parts.scheme not in _SCHEMES or not parts.hostname:
        raise UsageError(
            f"not an URL of a server: {url[:80]!r}.",
            where="--system-url",
            remedy=f"Expected {', '.join(_SCHEMES)}. {_URL}",
        )
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "an URL must hold no user and no password.",
            where="--system-url",
            remedy=f"Put the token into {TOKEN} in the environment.",
        )
    if not re.fullmatch(r"[!-~]+", url):
        raise UsageError(
            "an URL holds printable ASCII characters only.",
            where="--system-url",
            remedy="Encode others as %XX.",
        )
    _check_port(url, command, parts)


def _check_port(url: str, command: str, parts: SplitResult) -> None:
    if command and (PORT not in url or PORT not in command):
        raise UsageError(
            f"the port of a server that bench starts is chosen by bench: expected {PORT} in URL and command.",
            where="--system-server",
            remedy=f"As in --system-url 'http://127.0.0.1:{PORT}/' --system-server 'python s.py {PORT}'.",
        )
    if command and parts.hostname not in _LOCAL:
        raise UsageError(
            f"a server that bench starts answers on this machine, got {parts.hostname}.",
            where="--system-url",
            remedy="Use 127.0.0.1.",
        )
    if not command and "{" in url:
        raise UsageError(
            "the URL has a mark to fill, and there is no server to start.",
            where="--system-url",
            remedy="Name the port, or add --system-server COMMAND.",
        )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _check_server(server: ServerDefinition) -> None:
    if server.protocol and server.protocol not in PROTOCOLS:
        raise unknown_name("protocol", server.protocol, PROTOCOLS)
    if (server.protocol == GRPC) != is_grpc(server.url):
        raise UsageError(
            f"an URL of gRPC is of protocol {GRPC}, and no other is.",
            where="--system-protocol",
            remedy="As in --system-url grpc://127.0.0.1:8001/rte, whose end is the model's name.",
        )
    if (server.protocol == "json") != bool(server.template):
        raise UsageError(
            "protocol json needs a template, and a template is of protocol json.",
            where="--system-template",
            remedy="Add --system-template FILE (docs/howto/servers.md), or name another protocol.",
        )
    if server.command and (server.pid or server.cgroup):
        raise UsageError(
            "the processes of a server that bench starts are known.",
            where="--system-pid",
            remedy="Leave out --system-pid and --system-cgroup.",
        )
    if server.pid and server.cgroup:
        raise UsageError(
            "a server is named by its pid or by its cgroup.", where="--system-pid", remedy="Leave one out."
        )


def _check_commands(commands: Sequence[str], names: Sequence[str]) -> None:
    shared = [value for value in commands if not value.startswith(tuple(f"{name}:" for name in names))]
    if shared and len(names) > 1:
        raise UsageError(
            "there are several servers, and which of them the command starts is not said.",
            where="--system-server",
            remedy=f"Begin it with the name of its server: {names[0]}:COMMAND.",
        )


def _check_connections(connections: int | None) -> None:
    if connections is not None and not 1 <= connections <= MOST_CONNECTIONS:
        raise UsageError(
            f"--connections must be between 1 and {MOST_CONNECTIONS}, got {connections}.",
            where="--connections",
            remedy="It is how many requests may be in flight at once.",
        )


def _check_token(servers: Sequence[ServerDefinition], environ: Mapping[str, str] = os.environ) -> None:
    """Raise UsageError for one token and several servers of others: each would get the token of another."""
    others = [server.name for server in servers if not server.command]
    if len(others) > 1 and environ.get(TOKEN):
        raise UsageError(
            "there are several servers, and which of them gets the token is not said.",
            where=TOKEN,
            remedy=f"Set {TOKEN}_{re.sub(r'[^A-Za-z0-9]', '_', others[0]).upper()} instead, for {others[0]}.",
        )


def _labels(text: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in text.split(",") if part.strip()]
    if any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs):  # noqa: PLR2004 -- a pair
        raise _labels_error(f"expected pairs of names, got {text[:80]!r}")
    labels = {name.strip(): label.strip() for name, label in pairs}
    if len(labels) < len(pairs):
        raise _labels_error("a label of the server is named twice")
    return labels


def _labels_error(problem: str) -> UsageError:
    return UsageError(
        f"{problem}.",
        where="--system-labels",
        remedy="As in LABEL_0=entailment,LABEL_1=not_entailment: the server's name, then the task's.",
    )


def _template(file: str) -> JsonObject:
    value = read_yaml(Path(file)).value
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UsageError(
            "a template has the fields request, and label or scores.",
            where="--system-template",
            remedy="docs/howto/servers.md has one.",
        )
    return value


def _meter(url: str) -> str:
    """Return the URL of a meter; UsageError if it is none, or a token would not be encrypted on a network."""
    if not url:
        return ""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
        raise _meter_error(f"not an address of a meter: {url[:80]!r}")
    if parts.username is not None or parts.password is not None:
        raise _meter_error("an URL must hold no user and no password")
    if is_exporter(url):  # which gets no token
        return url
    if parts.scheme != "https" and parts.hostname not in _LOCAL:
        raise _meter_error("the token would be sent without encryption")
    token_from(os.environ)
    return url


def _meter_error(problem: str) -> UsageError:
    return UsageError(
        f"{problem}.",
        where="--system-meter",
        remedy="Open a tunnel (ssh -L 9299:127.0.0.1:9299 HOST), and name --system-meter http://127.0.0.1:9299.",
    )


def _pid(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
        raise UsageError(
            f"--system-pid must be the number of a process, got {text[:40]!r}.",
            where="--system-pid",
            remedy="`ps` lists them.",
        )
    return int(text)


def with_client_cpus(
    servers: Sequence[ServerDefinition], spare: Sequence[int]
) -> tuple[ServerDefinition, ...]:
    """Return the servers, with the CPUs of their clients where a server that is started leaves some."""
    return tuple(
        replace(server, client_cpus=tuple(spare)) if server.command else server for server in servers
    )
