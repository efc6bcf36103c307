"""Measuring on the nodes of Ray's own test cluster: `tox -e cluster` runs this, for a few minutes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from harness.records.record import Record
from harness.records.store import Store

pytestmark = [
    pytest.mark.skipif("TEST_CLUSTER" not in os.environ, reason="TEST_CLUSTER is not set"),
    # Ray leaves the log files and the processes of its nodes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SMALL = ("--task", "boolq", "--variants", "pytorch-dynamic", "--limit", "8", "--quality", "sample")
HEAD = {"num_cpus": 1, "resources": {"bench": 1}, "node_name": "head", "include_dashboard": False}
LADDER = """
name: mine
rungs:
- {name: fixed, engine: pytorch-fixed}
- {name: half, engine: onnx-fp32, recipes: [{prune: {heads: 0.5, ffn: 0.5}}], over: fixed}
- {name: less, engine: onnx-fp32, recipes: [{prune: {heads: 0.5, ffn: 0.25}}], over: fixed}
"""
BENCH = [sys.executable, "-P", "-c", "from harness.cli import main; main()"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cluster(cache: Path) -> Iterator[Any]:
    """Start two nodes that take measurements, with a cache of their own."""
    from ray.cluster_utils import Cluster

    os.environ |= {"BENCH_CACHE": str(cache), "RAY_worker_niceness": "0"}
    nodes = Cluster()
    for name in ("one", "two"):
        nodes.add_node(num_cpus=1, resources={"bench": 1}, node_name=name, include_dashboard=False)
    yield nodes
    nodes.shutdown()


def begun(root: Path, cluster: Any, *words: str, command: str = "run") -> "subprocess.Popen[str]":
    line = [*BENCH, command, *words, "--cluster", cluster.address, "--store", str(root / "store")]
    return subprocess.Popen(line, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = process.communicate(timeout=600)
    return process.returncode, out + err


def records(root: Path) -> list[Record]:
    store = Store(root / "store")
    return store.records(store.runs())[0]


def journal_of(cache: Path, host: str) -> Path:
    """Wait until a host has a round in a journal, and return it."""
    for _ in range(3000):
        for path in cache.glob(f"cluster/*/{host}/*/runs/*/journal/rounds.jsonl"):
            if '"kind": "round"' in path.read_text():
                return path
        time.sleep(0.1)
    raise TimeoutError(f"{host} has not finished a round")


def kill_bench(cache: Path, host: str) -> None:
    """Kill the `bench run` of a host."""
    marks = (f"/{host}/", "--store")
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if all(mark in line for mark in marks) and str(cache) in line:
            os.kill(process.pid, signal.SIGKILL)


def test_the_same_sweep_is_measured_on_every_host(tmp_path: Path, cluster: Any) -> None:
    """Two points on two hosts are four runs; nothing is left in the caches of the hosts."""
    (tmp_path / "sweep.yaml").write_text("sweep: {max-length: [64, 128]}\n")
    code, shown = ended(begun(tmp_path, cluster, *SMALL, "--rounds", "3", "--config", "sweep.yaml"))
    assert code == 0, shown
    assert sorted(record.cell.max_length for record in records(tmp_path)) == [64, 64, 128, 128]


def test_split_runs_are_measured_once(tmp_path: Path, cluster: Any, cache: Path) -> None:
    """On either host."""
    code, shown = ended(
        begun(tmp_path, cluster, *SMALL, "--rounds", "3", "--task", "boolq,cb", "--per-host", "split")
    )
    assert code == 0, shown
    assert sorted(record.cell.task for record in records(tmp_path)) == ["boolq", "cb"]
    assert not list(cache.glob("cluster/*/*/*"))


def test_a_killed_run_goes_on_from_its_journal(tmp_path: Path, cluster: Any, cache: Path) -> None:
    """The record has the rounds of both launches."""
    process = begun(tmp_path, cluster, *SMALL, "--rounds", "40", "--hosts", "one")
    journal_of(cache, "one")
    kill_bench(cache, "one")
    code, shown = ended(process)
    assert code == 0, shown
    (record,) = records(tmp_path)
    assert (record.status, len(record.rounds), record.launches) == ("complete", 40, 2)


def test_a_node_that_joins_later_takes_part_in_the_next_command(tmp_path: Path, cluster: Any) -> None:
    """And one that is lost is named, what others sealed is kept, and what it measured stays: exit 5.

    Its process may end after Ray has lost the node: then its record is sealed, and there is no journal.
    """
    cache = tmp_path / "cache"
    os.environ["BENCH_CACHE"] = str(cache)
    node = cluster.add_node(num_cpus=1, resources={"bench": 1}, node_name="three", include_dashboard=False)
    process = begun(tmp_path, cluster, *SMALL, "--rounds", "60", "--hosts", "three,one")
    journal_of(cache, "three")
    cluster.remove_node(node, allow_graceful=False)
    code, shown = ended(process)
    assert code == 5, shown
    assert "three: 000-boolq: is lost" in shown
    assert len(records(tmp_path)) == 1
    left = [
        *cache.glob("cluster/*/three/*/runs/*/journal/plan.json"),
        *cache.glob("cluster/*/three/*/runs/*/*.json"),
    ]
    assert left


def test_a_host_that_the_cluster_lacks_is_refused_by_name(tmp_path: Path, cluster: Any) -> None:
    """With the names that there are."""
    code, shown = ended(begun(tmp_path, cluster, *SMALL, "--hosts", "on"))
    assert code == 2
    assert "Did you mean one?" in shown


def test_a_ladder_is_trained_once_and_measured_on_every_host(tmp_path: Path, cluster: Any) -> None:
    """One artifact for each pruned rung; the use of Ray's own processes is in the records."""
    os.environ["BENCH_CACHE"] = str(tmp_path / "cache")
    (tmp_path / "mine.yaml").write_text(LADDER)
    words = ("--ladder", "mine.yaml", "--hosts", "one,two", "--rounds", "3", "--limit", "8")
    code, shown = ended(begun(tmp_path, cluster, *words, "--quality", "sample", command="ladder"))
    assert code == 0, shown
    assert "trained again" not in shown
    ladder = records(tmp_path)
    assert len({record.run for record in ladder}) == 2
    steps = {
        step["key"]
        for record in ladder
        if record.cell.variant != "fixed" and record.artifact
        for step in record.artifact.manifest["preparation"]
        if step["recipe"] == "prune"
    }
    assert len(steps) == 2
    overheads = [record.observer for record in ladder if record.observer]
    assert overheads
    assert all("raylet" in each.ray_processes and each.ray_cpu_ns is not None for each in overheads)


def test_a_search_measures_its_candidates_on_one_host(tmp_path: Path, cluster: Any) -> None:
    """They were trained on whichever hosts were free; the winner is measured on val."""
    os.environ["BENCH_CACHE"] = str(tmp_path / "cache")
    (tmp_path / "mine.yaml").write_text(LADDER)
    words = ("--ladder", "mine.yaml", "--hosts", "one", "--max-quality-loss", "100", "--profile", "quick")
    code, shown = ended(begun(tmp_path, cluster, *words, command="search"))
    assert code == 0, shown
    assert "trained again" not in shown
    assert "train-half is trained on" in shown
    assert {record.configuration.get("stage") for record in records(tmp_path)} == {"search", "final"}


def test_trainings_wait_for_hosts_that_measure_and_take_one_that_joins_later(
    tmp_path: Path, cluster: Any
) -> None:
    """The two hosts are held as by measurements; a third one trains both seeds, each into a folder here."""
    import ray

    os.environ["BENCH_CACHE"] = str(tmp_path / "cache")
    words = ("--model", "embedded", "--seeds", "0,1", "--epochs", "1", "--max-time", "5s")
    line = [*BENCH, "train", *words, "-o", "m/{seed}", "--cluster", cluster.address, "--json"]
    ray.init(address=cluster.address, log_to_driver=False)
    held = ray.util.placement_group([{"bench": 1}] * 2, strategy="STRICT_SPREAD")
    ray.get(held.ready())
    process = subprocess.Popen(line, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    node = cluster.add_node(num_cpus=1, resources={"bench": 1}, node_name="late", include_dashboard=False)
    try:
        out, err = process.communicate(timeout=600)
    finally:
        ray.util.remove_placement_group(held)
        ray.shutdown()
        cluster.remove_node(node)
    assert process.returncode == 0, err
    assert len(json.loads(out)) == 2
    assert all(f"boolq-seed-{seed} is trained on late" in err for seed in range(2))
    assert all((tmp_path / f"m/{seed}/model.safetensors").is_file() for seed in range(2))


def test_a_head_is_reached_by_its_port_for_clients(tmp_path: Path) -> None:
    """From a machine that is no node of the cluster."""
    from ray.cluster_utils import Cluster

    os.environ["BENCH_CACHE"] = str(tmp_path / "cache")
    nodes = Cluster(initialize_head=True, head_node_args={**HEAD, "ray_client_server_port": 10001})
    line = [*BENCH, "run", *SMALL, "--rounds", "3", "--cluster", "ray://127.0.0.1:10001", "--store", "store"]
    try:
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    finally:
        nodes.shutdown()
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path)) == 1


def test_after_a_restart_of_the_head_a_run_goes_on_from_its_journal(tmp_path: Path) -> None:
    """Ray ends its nodes with the head; nodes of the same names have the journals of the earlier ones."""
    from ray.cluster_utils import Cluster

    os.environ["BENCH_CACHE"] = str(tmp_path / "cache")
    first = Cluster(initialize_head=True, head_node_args=HEAD)
    # windows so long that the head is gone before the last of them, on a busy machine too
    slow = ("--rounds", "40", "--window", "500ms")
    process = begun(tmp_path, first, *SMALL, *slow, "--hosts", "head")
    journal_of(tmp_path / "cache", "head")
    first.shutdown()
    code, shown = ended(process)
    assert code == 4, shown
    assert "head: 000-boolq: is lost" in shown
    second = Cluster(initialize_head=True, head_node_args=HEAD)
    try:
        code, shown = ended(begun(tmp_path, second, "--resume", "latest"))
    finally:
        second.shutdown()
    assert code == 0, shown
    (record,) = records(tmp_path)
    assert (record.status, len(record.rounds), record.launches) == ("complete", 40, 2)


def test_a_dead_cluster_is_one_message(tmp_path: Path) -> None:
    """The files of its session lie on this machine still."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=HEAD)
    dead = SimpleNamespace(address=nodes.address)
    nodes.shutdown()
    code, shown = ended(begun(tmp_path, dead, *SMALL))
    assert code == 2, shown
    assert f"{dead.address}: the cluster does not answer" in shown
    assert "Traceback" not in shown


def test_a_cluster_of_this_machine_alone_runs_the_sweep_of_the_documents(tmp_path: Path) -> None:
    """Whatever files an earlier session of Ray has left."""
    (tmp_path / "sweep.yaml").write_text(
        "task: boolq\nvariants: [pytorch-dynamic, onnx-int8]\nprofile: quick\nquality: sample\n"
    )
    command = [
        *BENCH,
        "run",
        "--config",
        "sweep.yaml",
        "--cluster",
        "ray:local",
        "--store",
        "store",
        "--json",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert {record.cell.variant for record in records(tmp_path)} == {"pytorch-dynamic", "onnx-int8"}
    assert json.loads(done.stdout)["verdicts"]
