"""The real command on the embedded sample, killed with -9 or robbed of a worker: resumed, verified."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from harness.analysis.verification import verify_run
from harness.analysis.verification.reading import read_sealed
from harness.records.store import Store

WORDS = (
    *("--variants", "null", "--profile", "quick", "-n", "12", "--rounds", "3"),
    *("--window", "250ms", "--quality", "sample", "--quiet"),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class Bench:
    """The command with a store and a cache of its own."""

    def __init__(self, store: Path, cache: Path) -> None:
        self.store = store
        self.environ = {**os.environ, "BENCH_STORE": str(store), "BENCH_CACHE": str(cache)}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        program = "from harness.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-P", "-c", program, *words],
            env=self.environ,
            cwd=self.store.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        with self.start(*words) as process:
            out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def rounds(self) -> int:
        """How many rounds stand in the journal of the one run, whole."""
        journals = list(self.store.glob("runs/*/journal/rounds.jsonl"))
        lines = journals[0].read_text().split("\n")[:-1] if journals else []
        return sum(json.loads(line)["kind"] == "round" for line in lines)


def wait_for(it: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Look until it is so; there is nobody to tell us from inside the program."""
    begin = time.monotonic()
    while not it():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begin < 300
        time.sleep(0.01)


def gone(workers: Sequence[psutil.Process]) -> bool:
    """Say whether the kernel has ended the workers of a parent that was killed."""
    left = psutil.wait_procs(workers, timeout=60)[1]
    return all(worker.status() == psutil.STATUS_ZOMBIE for worker in left)


def test_a_command_that_is_killed_in_the_middle_of_a_round_goes_on_and_verifies(
    tmp_path: Path, cache: Path
) -> None:
    """Finished rounds are kept, its worker goes with it, and what is missing comes from a second launch."""
    bench = Bench(tmp_path / "results", cache)
    with bench.start("run", *WORDS) as process:
        wait_for(lambda: bench.rounds() >= 1, process)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert gone(workers)
    kept = bench.rounds()
    assert 1 <= kept < 3
    code, out = bench.run("run", "--resume", "latest", "--quiet")
    assert code == 0, out
    (path,) = bench.store.glob("runs/*/*.json")
    record = json.loads(path.read_text())
    assert [one["index"] for one in record["rounds"]] == [0, 1, 2]
    assert [one["launch"] for one in record["rounds"]] == [0] * kept + [1] * (3 - kept)
    code, out = bench.run("verify", "latest")
    assert code == 0, out
    assert "  yes          data " in out  # the embedded sample is at hand


def test_a_worker_that_is_killed_loses_its_round_and_no_other(tmp_path: Path, cache: Path) -> None:
    """The record keeps what was finished, says what happened, and verifies; the command exits with 5."""
    bench = Bench(tmp_path / "results", cache)
    with bench.start("run", *WORDS) as process:
        wait_for(lambda: bench.rounds() >= 1, process)
        children = psutil.Process(process.pid).children(recursive=True)
        (worker,) = [child for child in children if "harness.runs.worker.main" in child.cmdline()]
        os.kill(worker.pid, signal.SIGKILL)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 5, out
    (path,) = bench.store.glob("runs/*/*.json")
    record = json.loads(path.read_text())
    assert record["status"] == "partial"
    assert 1 <= len(record["rounds"]) < 3
    assert "SIGKILL" in record["failure"]["message"]
    sealed, _ = read_sealed(Store(bench.store).run("latest"))
    checks = verify_run(path.parent.name, sealed, lambda _one: "as in the test above")
    assert [check.wrong for check in checks if check.wrong] == []
