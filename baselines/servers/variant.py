"""A server as a variant: loading starts it, if it is ours to start, and finds its protocol.

This module is part of the catalog, so it imports the client only when a server is loaded.
"""

import os
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from baselines.checkpoints.artifacts import cache_key
from harness.common.errors import UnsupportedError, UsageError
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.systems.server import ServerDefinition, is_encrypted, is_grpc
from harness.workload.tasks.base import Task

if TYPE_CHECKING:
    from baselines.servers.connection import ServerConnection
    from baselines.servers.grpc_connection import GrpcConnection
    from baselines.servers.process import ServerProcess
    from baselines.servers.system import ServedSystem

TIMEOUT_S = 60.0
"""How long one exchange with a server may take, connecting included."""

PROBE_S = 5.0
"""How long a server that is not ready yet may take for one answer."""

TOKEN = "BENCH_SYSTEM_TOKEN"  # noqa: S105 -- the name of a variable
"""The environment variable with a token; `BENCH_SYSTEM_TOKEN_NAME` is that of one server alone."""

_LOCAL = ("127.0.0.1", "::1", "localhost")
_OK, _NOT_THERE = 200, (404, 405, 501)

_HEALTH = ("/health", "/v2/health/ready", "/-/healthz")
"""The last is that of Ray Serve, whose proxy answers before its deployments do."""


@dataclass(frozen=True, slots=True)
class ServerVariant:
    """A server that `definition` describes."""

    definition: ServerDefinition
    summary: str = "a model server (--system-url)"
    timeout_s: float = TIMEOUT_S
    reads_checkpoint: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name that the user gave it."""
        return self.definition.name

    def unavailable(self) -> str | None:
        """Return which package its client lacks; whether it answers shows when it is loaded."""
        if not is_grpc(self.definition.url):
            return None
        from baselines.checkpoints.optional_packages import missing_extra

        return missing_extra("grpc")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Check the program, if there is one to start, and the address; there is nothing else to prepare."""
        from baselines.servers.process import require_program
        from baselines.servers.protocols.oip_grpc import ModelAddress

        del context, settings
        if task.head != "sequence":
            raise UnsupportedError(
                f"servers return one label for each text, and {task.name} is not answered by that.",
                where=self.name,
            )
        if self.definition.command:
            require_program(self.definition.command)
        if is_grpc(self.definition.url):
            ModelAddress.of(urlsplit(self.definition.url.replace("{port}", "1")).path)
        token_of(self.definition, os.environ)
        key = cache_key("server", 1, task, [self.definition.sha256])
        return Artifact(sources.checkpoint.folder, key, {"recipe": "server", "version": 1, "seconds": 0.0})

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> "ServedSystem":
        """Start the server, or connect to it, and find its protocol."""
        from baselines.servers.process import ServerProcess

        del artifact, placement
        process = ServerProcess(self.definition) if self.definition.command else None
        try:
            return self._connected(task, settings, process)
        except BaseException:
            if process:
                process.end()
            raise

    def _connected(self, task: Task, settings: Settings, process: "ServerProcess | None") -> "ServedSystem":
        from baselines.servers.connection import Address, ServerConnection
        from baselines.servers.detection import find_facts
        from baselines.servers.grpc_connection import GrpcConnection
        from baselines.servers.system import ServedSystem

        definition = self.definition
        if not definition.reads_input:  # it answers column 0
            definition = replace(definition, labels={"0": task.labels[0]})
        address = Address.of(process.url if process else definition.url, token_of(definition, os.environ))
        client: type[GrpcConnection | ServerConnection]
        client = GrpcConnection if is_grpc(definition.url) else ServerConnection
        connections = [
            client(address, definition.name, self.timeout_s) for _ in range(definition.connections)
        ]
        if process:
            with closing(client(replace(address, token=""), definition.name, PROBE_S)) as probe:
                process.wait_until(lambda: is_ready(probe, address.path))
        with closing(connections[0]):
            facts = find_facts(definition, address.path, connections[0])
        return ServedSystem(definition, facts, connections, task, batch=settings.batch, process=process)


def is_ready(connection: "ServerConnection | GrpcConnection", path: str) -> bool:
    """Return whether a server is ready: by its own account, or because it answers and has no account.

    MeasurementError while nobody listens.
    """
    from baselines.servers.grpc_connection import GrpcConnection
    from baselines.servers.protocols.oip_grpc import ModelAddress, is_grpc_ready

    if isinstance(connection, GrpcConnection):
        return is_grpc_ready(connection, ModelAddress.of(path))
    prefix, is_oip, _ = path.partition("/v2/")
    places = (f"{prefix}/v2/health/ready",) if is_oip else _HEALTH
    statuses = [connection.answer("GET", place)[0] for place in places]
    return _OK in statuses or all(status in _NOT_THERE for status in statuses)


def token_of(definition: ServerDefinition, environ: Mapping[str, str]) -> str:
    """Return the token of a server; UsageError if it would cross a network unencrypted."""
    own = f"{TOKEN}_{re.sub(r'[^A-Za-z0-9]', '_', definition.name).upper()}"
    name = own if own in environ else TOKEN
    token = environ.get(name, "")
    if not token:
        return ""
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(
            "the token holds a character that a header cannot hold.",
            where=name,
            remedy="Set it to the token alone, without blanks and line breaks.",
        )
    parts = urlsplit(definition.url.replace("{port}", "1"))
    if not is_encrypted(definition.url) and parts.hostname not in _LOCAL:
        raise UsageError(
            "the token would be sent without encryption.",
            where=name,
            remedy="Use an https or grpcs URL, or unset the variable.",
        )
    return token


def null_server() -> ServerDefinition:
    """Return the server that answers at once: what it costs is the cost of transport and client."""
    return ServerDefinition(
        name="null-server",
        url="http://127.0.0.1:{port}/v2/models/null/infer",
        protocol="oip",
        command="{python} -P -m baselines.servers.null_server {port}",
        reads_input=False,
    )
