import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moments import forked

from harness.common.errors import MeasurementError
from harness.measurement.machine.host_lock import cores_of, hold_cpus


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "cpus.lock"


@contextmanager
def holder_of(cpus: list[int], lock: Path, *, trains: bool = False) -> Iterator[int]:
    """Yield the process that holds these CPUs; it ends at the latest with the `with`."""
    ready, tell = os.pipe()
    child = forked()
    if child == 0:
        try:
            with hold_cpus(cpus, "refuse", print, lock, trains=trains):
                os.write(tell, b"x")
                signal.pause()
        finally:
            os._exit(1)
    os.read(ready, 1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)


def test_a_second_measurement_on_a_cpu_is_refused_by_the_name_of_the_first(lock: Path) -> None:
    """Process, user and CPU; the remedy is to wait, or CPUs of its own."""
    with holder_of([1, 2], lock) as pid:
        with pytest.raises(MeasurementError) as caught, hold_cpus([0, 2], "refuse", print, lock):
            pass
        assert f"process {pid} of " in str(caught.value)
        assert "measures on CPU 2" in str(caught.value)
        assert "--busy wait" in str(caught.value)


def test_measurements_on_cpus_of_their_own_go_side_by_side(lock: Path) -> None:
    """As `taskset` gives them."""
    with holder_of([0, 1], lock), hold_cpus([2, 3], "refuse", print, lock):
        pass


def test_a_refused_measurement_holds_none_of_its_cpus(lock: Path) -> None:
    """CPU 0 was free, and stays so."""
    with holder_of([2], lock):
        with pytest.raises(MeasurementError), hold_cpus([0, 2], "refuse", print, lock):
            pass
        with holder_of([0], lock):
            pass


def test_a_waiting_measurement_names_whom_it_waits_for_and_begins_when_that_one_is_killed(lock: Path) -> None:
    """The kernel releases the CPUs of a process that ends in any way."""
    messages: list[str] = []
    with holder_of([0], lock) as pid:

        def report(message: str) -> None:
            messages.append(message)
            os.kill(pid, signal.SIGKILL)

        with hold_cpus([0], "wait", report, lock):
            pass
    assert len(messages) == 1
    assert f"waiting for process {pid}" in messages[0]


def test_sharing_is_said(lock: Path) -> None:
    """The measurement goes on, and its record will have warnings."""
    messages: list[str] = []
    with holder_of([0], lock), hold_cpus([0], "share", messages.append, lock):
        assert "disturb each other" in messages[0]


def test_a_lock_that_cannot_be_opened_is_said_and_holds_nobody_up(tmp_path: Path) -> None:
    """A link, a pipe, a folder that is not there."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "absent/file"):
        messages: list[str] = []
        with hold_cpus([0], "refuse", messages.append, tmp_path / name):
            assert "not locked, because" in messages[0]
    assert not (tmp_path / "elsewhere").exists()


def test_every_user_may_lock_the_file(lock: Path) -> None:
    """Whatever the umask of the one who made it."""
    before = os.umask(0o077)
    try:
        with hold_cpus([0], "refuse", print, lock):
            pass
    finally:
        os.umask(before)
    assert lock.stat().st_mode & 0o777 == 0o666


def test_a_core_is_held_whole(tmp_path: Path) -> None:
    """Two threads of a core share it; a CPU of unknown topology is held alone."""
    topology = tmp_path / "sys/devices/system/cpu/cpu1/topology"
    topology.mkdir(parents=True)
    (topology / "thread_siblings_list").write_text("1,5\n")
    assert cores_of([1, 2], tmp_path) == [1, 2, 5]


def test_trainings_share_cpus_with_one_another_and_with_no_measurement(lock: Path) -> None:
    """Whichever was there first; the message says what the other one does."""
    with holder_of([0], lock, trains=True) as pid:
        with hold_cpus([0], "refuse", print, lock, trains=True):
            pass
        with pytest.raises(MeasurementError) as caught, hold_cpus([0], "refuse", print, lock):
            pass
        assert f"process {pid} of " in str(caught.value)
        assert "which trains on CPU 0" in str(caught.value)
    with (
        holder_of([0], lock),
        pytest.raises(MeasurementError),
        hold_cpus([0], "refuse", print, lock, trains=True),
    ):
        pass
