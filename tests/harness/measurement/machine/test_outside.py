import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.common.errors import MeasurementError
from harness.common.procfs import TreeCpuTime
from harness.measurement.machine import outside
from harness.measurement.machine.outside import OutsideProcesses, is_here, place_of
from harness.systems.server import ServerDefinition

SPIN = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n"


def planted(root: Path, file: str, text: str) -> Path:
    path = root / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return root


def test_the_cpu_time_of_a_process_that_somebody_else_started_is_read() -> None:
    """And counts as that of the tree once it is named; then no more."""
    program = f"{SPIN}print('spun', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "spun\n"
    named = OutsideProcesses(pid=child.pid)
    assert named.cpu_ns() >= 200_000_000
    cpu_time = TreeCpuTime()
    alone = cpu_time()
    TreeCpuTime.count_also(named.cpu_ns)
    try:
        assert cpu_time() - alone >= 200_000_000
    finally:
        TreeCpuTime.count_also(None)
    assert cpu_time() - alone < 200_000_000
    child.communicate("\n")
    with pytest.raises(MeasurementError, match=f"there is no process {child.pid}"):
        named.cpu_ns()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a/b/cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
        ("cpu,cpuacct/a/b/cpuacct.usage", "1500000\n"),
        ("cpuacct/a/b/cpuacct.usage", "1500000\n"),
        ("unified/a/b/cpu.stat", "usage_usec 1500\n"),
    ],
)
def test_the_cpu_time_of_a_cgroup_is_read_from_either_version(tmp_path: Path, file: str, text: str) -> None:
    """In microseconds or in nanoseconds."""
    assert OutsideProcesses(cgroup="/a/b", root=planted(tmp_path, file, text)).cpu_ns() == 1_500_000


@pytest.mark.parametrize("text", ["", "usage_usec many\n", "user_usec 5\n"])
def test_a_cgroup_without_cpu_time_is_an_error(tmp_path: Path, text: str) -> None:
    """It is not zero."""
    with pytest.raises(MeasurementError, match="the cgroup 'a' cannot be read"):
        OutsideProcesses(cgroup="a", root=planted(tmp_path, "a/cpu.stat", text)).cpu_ns()


@pytest.mark.parametrize(
    ("host", "addresses", "expected"),
    [
        ("localhost", ["127.0.0.1", "::1"], True),
        ("models", ["10.0.0.5"], True),
        ("models", ["10.0.0.6"], False),
        ("models", ["127.0.0.1", "10.0.0.6"], False),
        ("nowhere", [], False),
    ],
)
def test_a_host_is_here_if_all_its_addresses_are(
    host: str, addresses: list[str], monkeypatch: pytest.MonkeyPatch, *, expected: bool
) -> None:
    """Loopback, or of an interface of this machine."""
    monkeypatch.setattr(outside, "_addresses_of", lambda _: addresses)
    monkeypatch.setattr(outside, "_own_addresses", lambda: ["10.0.0.5", "fe80::1"])
    assert is_here(host) is expected


def test_addresses_are_those_of_the_system() -> None:
    """A number needs no look-up."""
    assert is_here("127.0.0.1")
    assert is_here("::1")
    assert not is_here("192.0.2.1")
    assert "127.0.0.1" in outside._own_addresses()


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"url": "http://127.0.0.1:{port}/", "command": "s {port}"}, "below the worker"),
        ({"url": "http://127.0.0.1/", "pid": os.getpid()}, "named processes"),
        ({"url": "http://127.0.0.1/", "cgroup": "a"}, "named processes"),
        ({"url": "http://127.0.0.1/"}, "this machine"),
        ({"url": "http://192.0.2.1/"}, "another machine"),
    ],
)
def test_a_server_works_where_its_processes_are(fields: dict[str, object], place: str) -> None:
    """As far as it is known."""
    assert place_of(ServerDefinition("mine", **fields)) == place  # type: ignore[arg-type]
