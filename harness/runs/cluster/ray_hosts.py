"""Hosts of a Ray cluster: found, held one measurement each, and asked again after a fault.

A host takes part if its node was started with the resource `bench` (`ray start --resources '{"bench": 1}'`).
A measurement takes all of it: a second sweep waits. A training takes a small part: many fit on a host, as its
CPUs allow, and none beside a measurement. An actor on the node runs points; it is bound to the
node, because the journal of a point lies there. The processes that measure get the environment in which the
node was started, without what Ray sets for its workers (`OMP_NUM_THREADS`, `CUDA_VISIBLE_DEVICES`, a low
priority).
"""

import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.common.errors import DeviceError, ExitCode, UsageError, unknown_name
from harness.common.json_types import JsonObject
from harness.measurement.machine.host_lock import cores_of, hold_cpus
from harness.runs.cluster.dispatch import HostLost
from harness.runs.cluster.point import Point, PointResult, digest_of, forget_point, jobs_of, run_point
from harness.runs.cluster.training import Files, Trained, add_artifact, run_training
from harness.systems.artifact_cache import default_cache

RESOURCE = "bench"
LOCAL = "ray:local"

UNKNOWN_S = 60.0
"""How long a host may be unavailable before it counts as lost; Ray itself decides after about 30 s."""

MOST_ACTORS = 3
"""How many processes of a host may end while they run one point."""

TRAINING_SHARE = 0.001
"""The part of `bench` that a training takes; Ray counts in ten thousandths."""

_NOT_STARTED = "Starting Ray client server failed"

_PING_S = 10.0
_POLL_S = 1.0

RemoteRunner = Any
"""A handle of Ray's on a `Runner`."""


class Runner:
    """Runs points on the host of this process, whose name it is given; an actor of Ray."""

    def __init__(self, host: str) -> None:
        self._host, self._cache = host, default_cache()

    def ping(self) -> bool:
        """Return True: the process is there."""
        return True

    def digests(self, paths: Sequence[str]) -> dict[str, str | None]:
        """Return the sha256 of each of these files and folders, None for one that is not there."""
        return {path: digest_of(path) for path in paths}

    def run(self, point: Point) -> PointResult:
        """Run or continue a point, on the CPUs and at the priority of the node."""
        if not restore_scheduling(os.getppid()):
            return PointResult(int(ExitCode.BAD_INPUT), {}, (), (NICE,))
        return run_point(point, self._host, started_environment(os.getppid()), self._cache)

    def jobs(self) -> dict[str, list[str]]:
        """Return the points that were begun here, by job."""
        return jobs_of(self._cache, self._host)

    def forget(self, job: str, name: str) -> None:
        """Remove the store of a point that was handed over."""
        forget_point(job, name, self._cache, self._host)

    def add_artifact(self, key: str, files: Files) -> None:
        """Put an artifact that another host made into the cache."""
        add_artifact(key, files, self._cache)


def train_here(point: Point, expected: Mapping[str, str | None]) -> Trained:
    """Train on the host of this process, beside other trainings and beside no measurement; a task of Ray."""
    import ray

    node, here = os.getppid(), ray.get_runtime_context().get_node_id()
    name = next((host.name for host in candidates(ray.nodes()).values() if host.node == here), here)
    restore_scheduling(node)
    with hold_cpus(cores_of(os.sched_getaffinity(0)), "wait", lambda _: None, trains=True):
        return run_training(point, name, started_environment(node), default_cache(), expected)


NICE = "Ray runs its workers at a low priority: start the node with RAY_worker_niceness=0"


def restore_scheduling(node: int) -> bool:
    """Give this process the CPUs and the priority of the node's, which Ray may have lowered.

    Return whether it has that priority now.
    """
    os.sched_setaffinity(0, os.sched_getaffinity(node))
    wanted = os.getpriority(os.PRIO_PROCESS, node)
    if os.getpriority(os.PRIO_PROCESS, 0) != wanted:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, wanted)
    return os.getpriority(os.PRIO_PROCESS, 0) == wanted


def started_environment(pid: int, root: Path = Path("/")) -> dict[str, str]:
    """Return the environment that a process was started with: a node has that of its user."""
    fields = (
        (root / "proc" / str(pid) / "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    )
    return dict(field.split("=", 1) for field in fields if "=" in field)


class RayHost:
    """One node of a Ray cluster."""

    def __init__(self, node: JsonObject, name: str) -> None:
        self.node, self.name, self.cpus = node["NodeID"], name, float(node["Resources"].get("CPU", 0))
        self._actor: RemoteRunner = None
        self._has_answered = False

    def run(self, point: Point) -> PointResult:
        """Run a point; where the process or the connection is lost, ask the journal of the host again."""
        result: PointResult = self._call("run", point)
        return result

    def digests(self, paths: Sequence[str]) -> dict[str, str | None]:
        """Return the sha256 of files and folders there."""
        digests: dict[str, str | None] = self._call("digests", list(paths))
        return digests

    def jobs(self) -> dict[str, list[str]]:
        """Return the points that were begun there, by job."""
        jobs: dict[str, list[str]] = self._call("jobs")
        return jobs

    def forget(self, job: str, name: str) -> None:
        """Remove what the host keeps of a point."""
        self._call("forget", job, name)

    def add_artifact(self, key: str, files: Files) -> None:
        """Put an artifact that another host made into the cache there."""
        self._call("add_artifact", key, dict(files))

    def release(self) -> None:
        """Hold the host no longer, until the next call."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
            self._actor, self._has_answered = None, False

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 -- what the method returns
        import ray
        from ray.exceptions import RayActorError, RaySystemError

        for _ in range(MOST_ACTORS):
            try:
                actor = self._available_actor()
                return ray.get(getattr(actor, method).remote(*arguments))
            except RayActorError:
                continue
            except (ConnectionError, RaySystemError) as error:
                raise HostLost(f"the head does not answer: {error}.", where=self.name) from None
        raise HostLost(f"its process ended {MOST_ACTORS} times.", where=self.name)

    def _available_actor(self) -> RemoteRunner:
        """Return an actor that answers: the one that there is, or a new one; HostLost if the node is gone.

        A new actor waits without a limit, as long as its node lives: another sweep may hold the host.
        """
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError

        end = time.monotonic() + UNKNOWN_S
        while self._is_alive() and (time.monotonic() < end or not self._has_answered):
            self._actor = self._actor or self._new_actor()
            try:
                self._has_answered = ray.get(self._actor.ping.remote(), timeout=_PING_S)
            except GetTimeoutError:
                continue
            except RayActorError as error:
                if "Unavailable" not in type(error).__name__:
                    self._actor = None
                time.sleep(_POLL_S)
                continue
            return self._actor
        raise HostLost("the host does not answer, and its node is lost.", where=self.name)

    def _is_alive(self) -> bool:
        import ray

        return any(node["NodeID"] == self.node and node["Alive"] for node in ray.nodes())

    def _new_actor(self) -> RemoteRunner:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(self.node, soft=False)
        options = {"num_cpus": 0, "resources": {RESOURCE: 1}, "scheduling_strategy": strategy}
        return ray.remote(Runner).options(**options).remote(self.name)


@contextmanager
def ray_hosts(address: str, wanted: str) -> Iterator[list[RayHost]]:
    """Yield the hosts that `wanted` names: all, how many, or their names; UsageError if there are fewer."""
    try:
        import ray
    except ImportError:
        raise UsageError(
            "a cluster needs Ray, which is not installed.",
            where="--cluster",
            remedy="pip install 'ray[client]>=2.40'",
        ) from None
    _connect(address)
    try:
        yield named_hosts(candidates(ray.nodes()), wanted)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    import ray

    quiet: JsonObject = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        # `local` starts a cluster of its own, whatever files an earlier one has left
        settings = {"worker_niceness": 0}
        ray.init("local", resources={RESOURCE: 1}, include_dashboard=False, _system_config=settings, **quiet)
        return
    if not re.fullmatch(r"(ray://)?[^:/]+:[0-9]{1,5}", address):
        raise UsageError(f"expected {LOCAL}, ray://HOST:PORT or HOST:PORT, got {address}.", where="--cluster")
    try:
        # Ray waits for minutes for a head that is gone
        socket.create_connection(_host_and_port(address), timeout=_PING_S).close()
        _join(address, quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:  # ValueError: without ray[client]
        raise DeviceError(
            f"the cluster does not answer: {error}.",
            where=address,
            remedy="Start it with `ray start --head`, and name its port for clients (10001).",
        ) from None


def _join(address: str, settings: JsonObject) -> None:
    """Connect to a head; once more if it was too busy to start its server for this client within 30 s."""
    import ray

    try:
        ray.init(address=address, **settings)
    except (ConnectionError, RuntimeError) as error:
        if _NOT_STARTED not in str(error):
            raise
        ray.init(address=address, **settings)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host, int(port)


def candidates(nodes: Sequence[JsonObject]) -> dict[str, RayHost]:
    """Return the living nodes with the resource by their names; a name of several gets the node's id."""
    able = [node for node in nodes if node["Alive"] and node["Resources"].get(RESOURCE, 0) >= 1]
    hostnames = [node["NodeManagerHostname"] for node in able]
    hosts: dict[str, RayHost] = {}
    for node in able:
        name = str(node.get("NodeName") or node["NodeManagerHostname"])
        if name in hosts or (name == node["NodeManagerHostname"] and hostnames.count(name) > 1):
            name = f"{name}-{node['NodeID'][:6]}"
        hosts[name] = RayHost(node, name)
    return hosts


def named_hosts(hosts: dict[str, RayHost], wanted: str) -> list[RayHost]:
    """Return the hosts that `wanted` names; UsageError where there are not so many, or none of a name."""
    if not hosts:
        raise UsageError(
            "no host of the cluster takes measurements.",
            where="--cluster",
            remedy=f"Start its nodes with the resource `{RESOURCE}` (docs/howto/cluster.md).",
        )
    if wanted == "all":
        return list(hosts.values())
    if wanted.isdecimal():
        count = int(wanted)
        if not 1 <= count <= len(hosts):
            raise UsageError(f"the cluster has {len(hosts)} hosts, got --hosts {count}.", where="--hosts")
        return list(hosts.values())[:count]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in hosts:
            raise unknown_name("host", name, hosts)
    return [hosts[name] for name in dict.fromkeys(names)]
