"""Processes outside of the worker's tree that answer for it: a server that somebody else has started.

pid or cgroup --> CPU time of it and of all below it, in nanoseconds
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from harness.common.errors import MeasurementError
from harness.common.procfs import ROOT, number, read, tree_cpu_ns
from harness.systems.server import ServerDefinition, ServerPlace

_MOUNTS = ("", "cpu,cpuacct", "cpuacct", "unified")
"""Where the hierarchies of cgroups are mounted, below /sys/fs/cgroup: version 2, then version 1."""


@dataclass(frozen=True, slots=True)
class OutsideProcesses:
    """A process tree by its pid, or all processes of a cgroup by its path below /sys/fs/cgroup."""

    pid: int = 0
    cgroup: str = ""
    root: Path = ROOT

    def cpu_ns(self) -> int:
        """Return the CPU time since they began; MeasurementError if they are not there."""
        if self.cgroup:
            return self._of_cgroup()
        if not psutil.pid_exists(self.pid):
            raise MeasurementError(
                f"there is no process {self.pid}.",
                where="--system-pid",
                remedy="Name the process that runs the server now.",
            )
        return tree_cpu_ns(self.pid, self.root)

    def _of_cgroup(self) -> int:
        for mount in _MOUNTS:
            folder = self.root / "sys/fs/cgroup" / mount / self.cgroup.strip("/")
            for line in (read(folder / "cpu.stat") or "").splitlines():
                name, _, value = line.partition(" ")
                if name == "usage_usec" and (used := number(value)) is not None:
                    return used * 1000
            if (used := number(read(folder / "cpuacct.usage"))) is not None:
                return used
        raise MeasurementError(
            f"the CPU time of the cgroup {self.cgroup[:80]!r} cannot be read.",
            where="--system-cgroup",
            remedy="Name its path below /sys/fs/cgroup, as /proc/PID/cgroup of the server has it.",
        )


def is_here(host: str) -> bool:
    """Return whether a host is this machine: all its addresses are loopback, or of an interface here."""
    addresses = _addresses_of(host)
    own = _own_addresses()
    return bool(addresses) and all(
        ipaddress.ip_address(address).is_loopback or address in own for address in addresses
    )


def _addresses_of(host: str) -> Collection[str]:
    try:
        resolved = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return {str(address[0]).partition("%")[0] for *_, address in resolved}


def _own_addresses() -> Collection[str]:
    interfaces = psutil.net_if_addrs().values()
    return {address.address.partition("%")[0] for addresses in interfaces for address in addresses}


def place_of(server: ServerDefinition) -> ServerPlace:
    """Return where a server works: below the worker if the harness starts it."""
    if server.command:
        return "below the worker"
    if server.pid or server.cgroup:
        return "named processes"
    return "this machine" if is_here(urlsplit(server.url).hostname or "") else "another machine"
