import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.common.errors import MeasurementError, UsageError
from harness.runs.worker.messages import Closed, CloseRequest, VisitRequest
from harness.runs.worker.process import ProcessWorker, WorkerLost, worker_environment


@pytest.fixture
def worker() -> Iterator[ProcessWorker]:
    started = ProcessWorker(sorted(os.sched_getaffinity(0))[:1], 1, patience_s=60)
    yield started
    started.end()


def gone(pid: int) -> bool:
    """Wait until the process is gone, or nobody's child any more."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_answers_and_its_errors_arrive_as_ours(worker: ProcessWorker) -> None:
    """The class, the message and the remedy cross the wire."""
    assert worker.send(CloseRequest()) == Closed()
    with pytest.raises(UsageError, match="has not opened a system yet"):
        worker.send(VisitRequest([0], warmup=0))
    assert worker.send(CloseRequest()) == Closed()


def test_a_worker_is_pinned_before_it_loads_anything(worker: ProcessWorker) -> None:
    """To the CPUs of its placement."""
    worker.send(CloseRequest())
    assert os.sched_getaffinity(worker.pid) == {min(os.sched_getaffinity(0))}


def test_a_stopped_worker_uses_no_cpu_and_goes_on_when_told(worker: ProcessWorker) -> None:
    """All but one worker are stopped while that one is timed."""
    worker.send(CloseRequest())
    worker.stop()
    time.sleep(0.05)
    assert psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED
    worker.resume()
    assert worker.send(CloseRequest()) == Closed()


def test_a_killed_worker_is_reported_with_its_signal(worker: ProcessWorker) -> None:
    """And the hint that the kernel may have run out of memory."""
    worker.send(CloseRequest())
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match=r"SIGKILL \(often: the kernel ran out of memory\)"):
        worker.send(CloseRequest())


def test_a_worker_that_does_not_answer_in_time_is_lost() -> None:
    """A stopped process stands for one that hangs."""
    hanging = ProcessWorker([], 1, patience_s=0.2)
    hanging.stop()
    with pytest.raises(WorkerLost, match="did not answer 'close' in time"):
        hanging.send(CloseRequest())
    hanging.end()
    assert gone(hanging.pid)


def test_workers_die_with_their_parent_even_while_they_are_stopped() -> None:
    """`kill -9` of the parent leaves nothing behind."""
    program = textwrap.dedent(
        """
        import time
        from harness.runs.worker.messages import CloseRequest
        from harness.runs.worker.process import ProcessWorker
        worker = ProcessWorker([], 1)
        worker.send(CloseRequest())
        worker.stop()
        print(worker.pid, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert gone(orphan)


def test_a_harness_in_the_users_folder_does_not_shadow_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a module nor a package, nor one of reports or baselines."""
    (tmp_path / "harness.py").write_text("raise SystemExit('shadowed')")
    for name in ("reports", "baselines", "models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    worker = ProcessWorker([], 1, patience_s=60)
    assert worker.send(CloseRequest()) == Closed()
    worker.end()


def test_thread_limits_are_set_for_every_library_before_it_loads() -> None:
    """OpenMP, MKL and OpenBLAS read them once."""
    environment = worker_environment({"OMP_NUM_THREADS": "7", "HOME": "/h"}, 2)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "2"
    assert environment["OPENBLAS_NUM_THREADS"] == "2"
    assert environment["HOME"] == "/h"


JUNK = """
import os, socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
channel.recv(1)
{body}
time.sleep(600)
"""


def junk_worker(tmp_path: Path, body: str) -> ProcessWorker:
    """Return a worker that runs other code behind the same socket."""
    (tmp_path / "junk.py").write_text(JUNK.format(body=body))
    return ProcessWorker([], 1, patience_s=60, source=str(tmp_path), module="junk")


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"neither": 1}', "7", "\\xff", "[" * 5000])
def test_an_answer_that_cannot_be_read_ends_the_worker_and_is_no_bug(tmp_path: Path, line: str) -> None:
    """The parent used to wait for the end of a worker that was alive."""
    worker = junk_worker(tmp_path, f"channel.send({line!r}.encode('latin-1') + b'\\n')")
    with pytest.raises(WorkerLost, match="the worker's answer to 'close' cannot be read"):
        worker.send(CloseRequest())
    assert gone(worker.pid)
    worker.end()


def test_a_worker_that_closes_its_socket_and_lives_on_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it longer than its time to end."""
    monkeypatch.setattr("harness.runs.worker.process.END_S", 0.1)
    worker = junk_worker(tmp_path, "channel.close()")
    with pytest.raises(WorkerLost, match="the worker closed its socket at 'close'"):
        worker.send(CloseRequest())
    assert gone(worker.pid)
    worker.end()


def test_an_answer_without_an_end_is_read_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory stays bounded, and the worker is ended."""
    monkeypatch.setattr("harness.runs.worker.process.MESSAGE_BYTES", 1000)
    worker = junk_worker(tmp_path, "channel.send(b'1' * 5000)")
    with pytest.raises(WorkerLost, match="cannot be read"):
        worker.send(CloseRequest())
    worker.end()


def test_a_worker_leaves_no_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither after its end nor where it cannot be started."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker = ProcessWorker([], 1, patience_s=60)
    assert worker.send(CloseRequest()) == Closed()
    assert len(list(tmp_path.iterdir())) == 1
    worker.end()
    with pytest.raises(MeasurementError, match="a worker cannot be started: No such file"):
        ProcessWorker([], 1, python="/nowhere/python")
    assert list(tmp_path.iterdir()) == []


def test_the_traceback_of_a_worker_is_logged_for_debug(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`--debug` prints what the harness logs."""
    failure = {"kind": "UsageError", "message": "no.", "where": None, "remedy": None}
    line = json.dumps({"failed": failure, "traceback": "in line 7 of theirs"})
    worker = junk_worker(tmp_path, f"channel.send({line!r}.encode() + b'\\n')")
    with caplog.at_level("DEBUG", "harness"), pytest.raises(UsageError, match="no"):
        worker.send(CloseRequest())
    worker.end()
    assert "in line 7 of theirs" in caplog.text


def test_an_interruption_while_a_worker_starts_leaves_no_scratch_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its guard may not know the folder yet."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("harness.common.processes.guarded.select.select", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ProcessWorker([], 1, patience_s=60)
    assert list(tmp_path.iterdir()) == []
