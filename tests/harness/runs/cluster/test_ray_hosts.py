"""What needs no Ray: names of hosts, and what a node was started with. `tests/cluster` has the rest."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.common.errors import UsageError
from harness.runs.cluster import ray_hosts
from harness.runs.cluster.dispatch import HostLost
from harness.runs.cluster.ray_hosts import RayHost, candidates, named_hosts, started_environment


def node(number: int, name: str = "", *, alive: bool = True, resource: float = 1) -> dict[str, Any]:
    return {
        "NodeID": f"{number:06x}ff",
        "NodeName": name or "machine",
        "NodeManagerHostname": "machine",
        "Alive": alive,
        "Resources": {"bench": resource} if resource else {"CPU": 2.0},
    }


def test_hosts_are_the_living_nodes_with_the_resource_by_their_names() -> None:
    """Nodes of one name get a part of their id."""
    nodes = [node(1, "one"), node(2, alive=False), node(3, resource=0), node(4), node(5)]
    assert list(candidates(nodes)) == ["one", "machine-000004", "machine-000005"]


def test_hosts_are_chosen_by_number_or_by_name() -> None:
    """All of them by default."""
    hosts = candidates([node(1, "one"), node(2, "two"), node(3, "three")])
    assert [host.name for host in named_hosts(hosts, "all")] == ["one", "two", "three"]
    assert [host.name for host in named_hosts(hosts, "2")] == ["one", "two"]
    assert [host.name for host in named_hosts(hosts, "three, one,three")] == ["three", "one"]


@pytest.mark.parametrize(
    ("nodes", "wanted", "message"),
    [
        ([node(1, "one", resource=0)], "all", "no host of the cluster takes measurements"),
        ([node(1, "one")], "2", "has 1 hosts, got --hosts 2"),
        ([node(1, "one")], "0", "got --hosts 0"),
        ([node(1, "one")], "on", "Did you mean one"),
    ],
)
def test_hosts_that_are_not_there_are_refused(nodes: list[dict[str, Any]], wanted: str, message: str) -> None:
    """With how a node takes part, how many there are, or their names."""
    with pytest.raises(UsageError, match=message):
        named_hosts(candidates(nodes), wanted)


def test_the_environment_is_that_in_which_the_node_was_started(tmp_path: Path) -> None:
    """A value may hold `=`; what Ray sets for its workers is not there."""
    folder = tmp_path / "proc" / "7"
    folder.mkdir(parents=True)
    (folder / "environ").write_bytes(b"HOME=/home/a\0OPTIONS=a=b\0\0broken")
    assert started_environment(7, tmp_path) == {"HOME": "/home/a", "OPTIONS": "a=b"}


def test_a_point_runs_on_the_cpus_and_at_the_priority_of_the_node() -> None:
    """Here the node is this process, which keeps both; a child that has one CPU gets the others back."""
    cpus = os.sched_getaffinity(0)
    script = (
        f"import os; os.sched_setaffinity(0, {{{min(cpus)}}}); "
        "from harness.runs.cluster.ray_hosts import restore_scheduling; "
        f"print(restore_scheduling({os.getpid()}), os.sched_getaffinity(0) == {cpus})"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True True\n"


class ActorDied(Exception):
    """What Ray raises for a process that has ended."""


class TimedOut(Exception):
    """What Ray raises for an answer that is not there in time."""


class FakeRay(ModuleType):
    """A cluster of one node, whose answers are values, or errors that are raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: Iterator[Any]) -> None:
        super().__init__("ray")
        self._answers = answers
        errors = SimpleNamespace(RayActorError=ActorDied, GetTimeoutError=TimedOut, RaySystemError=OSError)
        monkeypatch.setitem(sys.modules, "ray", self)
        monkeypatch.setitem(sys.modules, "ray.exceptions", errors)
        method = SimpleNamespace(remote=lambda *_: None)
        actor = SimpleNamespace(ping=method, jobs=method)
        monkeypatch.setattr(RayHost, "_new_actor", lambda _self: actor)
        monkeypatch.setattr(ray_hosts, "_POLL_S", 0.0)

    def nodes(self) -> list[dict[str, Any]]:
        return [node(1)]

    def get(self, _reference: object, timeout: float | None = None) -> Any:
        del timeout
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_host_that_another_sweep_holds_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a host that has answered before may be silent."""
    monkeypatch.setattr(ray_hosts, "UNKNOWN_S", 0.0)
    FakeRay(monkeypatch, iter([*[TimedOut()] * 100, True, {"job": ["000-boolq"]}]))
    assert RayHost(node(1), "one").jobs() == {"job": ["000-boolq"]}


def test_a_host_that_has_answered_and_is_silent_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute, and not at once."""
    FakeRay(monkeypatch, iter([True, {}, TimedOut(), True, {}, TimedOut()]))
    host = RayHost(node(1), "one")
    assert host.jobs() == host.jobs() == {}
    monkeypatch.setattr(ray_hosts, "UNKNOWN_S", 0.0)
    with pytest.raises(HostLost, match="its node is lost"):
        host.jobs()


def test_a_process_that_ends_three_times_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time a new one was started."""
    FakeRay(monkeypatch, iter([True, ActorDied()] * 3))
    with pytest.raises(HostLost, match="ended 3 times"):
        RayHost(node(1), "one").jobs()


def test_a_host_of_a_head_that_is_gone_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of it."""
    FakeRay(monkeypatch, iter([ConnectionError("not connected")]))
    with pytest.raises(HostLost, match="the head does not answer: not connected"):
        RayHost(node(1), "one").jobs()


def test_a_head_that_was_too_busy_for_a_client_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts a server for each client, and gives up after half a minute."""
    answers: list[Exception | None] = [RuntimeError("Starting Ray client server failed. See a.err"), None]

    def init(**_settings: object) -> None:
        if answer := answers.pop(0):
            raise answer

    fake = FakeRay(monkeypatch, iter([]))
    monkeypatch.setattr(fake, "init", init, raising=False)
    monkeypatch.setattr(fake, "shutdown", lambda: None, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"ray://127.0.0.1:{head.getsockname()[1]}"
        with ray_hosts.ray_hosts(address, "all") as hosts:
            assert len(hosts) == 1
    assert not answers
