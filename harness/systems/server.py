"""What is told of a model server: where it answers, in which protocol, and whose processes it runs in.

--system-url, --system-server, ... --> ServerDefinition --> plan, message to a worker, a variant's system
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from harness.common.json_codec import from_json, to_json
from harness.common.json_types import JsonObject, JsonValue

if TYPE_CHECKING:
    from harness.systems.interface import Variant

PROTOCOLS = ("oip", "oip-grpc", "tei", "infinity", "openai", "json")
"""The protocols that a client has; `json` is described by a template."""

GRPC = "oip-grpc"
"""The protocol that is spoken over gRPC, at addresses `grpc://` or, encrypted, `grpcs://`."""

ServerPlace = Literal["below the worker", "named processes", "this machine", "another machine"]
"""Where a server works, as far as it is known."""

CONNECTIONS = 8
"""Requests that may be in flight at once, if the user names no number."""


@dataclass(frozen=True, slots=True)
class ServerDefinition:
    """A model server as a system.

    `url` may hold `{port}`, which is chosen where the harness starts the server by `command`. An empty
    `protocol` is found from the server's metadata. At most `connections` requests are in flight. `labels`
    maps names of the server to labels of the task. `separator` joins the texts of a pair for a server that
    takes one text. `template` describes request and answer of protocol `json`. `pid` or `cgroup` are the
    processes of a server on this machine that somebody else has started. `meter` is the URL of what reads
    the energy of the server's machine there. `client_cpus` are the CPUs of the client, where the server's
    leave some. `reads_input` is False for a server that answers a constant.
    """

    name: str
    url: str
    protocol: str = ""
    connections: int = CONNECTIONS
    labels: Mapping[str, str] = field(default_factory=dict)
    separator: str = ""
    template: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    pid: int = 0
    cgroup: str = ""
    meter: str = ""
    client_cpus: tuple[int, ...] = ()
    reads_input: bool = True

    def to_json(self) -> JsonObject:
        """Return it as a message to a worker holds it."""
        return to_json(self)

    @property
    def sha256(self) -> str:
        """What tells two servers apart; the client's CPUs, which process answers, and who reads do not."""
        same = replace(self, pid=0, cgroup="", meter="", client_cpus=())
        return hashlib.sha256(json.dumps(same.to_json(), sort_keys=True).encode()).hexdigest()


METER_FACTS = "energy_meter"
"""The name under which a placement holds the facts of the meter on a server's machine."""


def is_grpc(url: str) -> bool:
    """Return whether an URL is one of gRPC."""
    return url.lower().startswith(("grpc:", "grpcs:"))


def is_encrypted(url: str) -> bool:
    """Return whether what is sent to an URL is encrypted."""
    return url.lower().startswith(("https:", "grpcs:"))


def is_server(definition: Mapping[str, JsonValue] | None) -> TypeGuard[Mapping[str, JsonValue]]:
    """Return whether the definition of a variant is that of a server; a ladder's rung has no URL."""
    return definition is not None and "url" in definition


def server_of(definition: Mapping[str, JsonValue]) -> ServerDefinition:
    """Return the server that a message describes."""
    return from_json(ServerDefinition, definition)


def no_servers(definition: Mapping[str, JsonValue]) -> "Variant":
    """Raise LookupError: this catalog has no client."""
    raise LookupError(f"no client for {definition.get('name')}")
