"""Real model servers on loopback, started, measured and ended by `bench run`: `tox -e servers` runs it.

Each serves the folder that `bench export onnx-int8 --server` wrote, so its answers must be the same. Infinity
serves the checkpoint itself, and gets pairs as one text, so its answers are others.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

SERVERS = os.environ.get("SERVERS_PYTHON", "")
INFINITY = os.environ.get("INFINITY_PYTHON", "")
RAY_SERVE = os.environ.get("RAY_SERVE_PYTHON", "")
pytestmark = pytest.mark.skipif(not SERVERS, reason="`tox -e servers` makes the environment")

BENCH = str(Path(sys.executable).with_name("bench"))
SECONDS = 0.02
"""CPU time for each answer of the server that burns a known amount."""

BURNING = f"""
import json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

one_at_a_time, used_up = threading.Lock(), None

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with one_at_a_time:
            # by the clock of the whole process, so that reading and writing are part of what is burnt
            global used_up
            used_up = (used_up or time.process_time()) + {SECONDS}
            while time.process_time() < used_up:
                pass
        body = b'{{"label": "entailment"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

DEPLOYMENT = """
import sys, time
from pathlib import Path
from ray import serve
from starlette.requests import Request

@serve.deployment(ray_actor_options={"num_cpus": 0})
class Classifier:
    def __init__(self, folder):
        sys.path.insert(0, folder)
        import serve as exported
        self._classifier = exported.Classifier(Path(folder), threads=1)
    async def __call__(self, request: Request):
        return self._classifier.answer(await request.json())

serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
serve.run(Classifier.bind(sys.argv[1]))
while True:
    time.sleep(60)
"""


def run(store: Path, *words: str) -> dict[str, Any]:
    """Run `bench run` on RTE at boundary text; return its records by variant and scenario."""
    command = [BENCH, "run", "--task", "rte", "--boundary", "text", "--profile", "quick", "-q"]
    environment = {**os.environ, "BENCH_STORE": str(store)}
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in store.glob("runs/*/*.json")]
    return {f"{record['cell']['variant']} {record['cell']['scenario']}": record for record in records}


def left_over(mark: str) -> list[list[str]]:
    """Return the command lines of living processes that hold this text."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(mark in part for part in line):
            found.append(line)
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Export the same variant for each server."""
    folders = {}
    for server in ("litserve", "mlserver"):
        folder = tmp_path_factory.mktemp("exported") / "rte"
        words = ["export", "onnx-int8", "--task", "rte", "-q", "--server", server, "-o", str(folder)]
        done = subprocess.run([BENCH, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        folders[server] = folder
    return folders


def options_of(server: str, folders: dict[str, Path]) -> list[str]:
    """Return the options that start and measure a server; an exported request is a template of two texts."""
    script = folders["litserve"] / ("serve_litserve.py" if server == "litserve" else "serve_http.py")
    template = folders["litserve"].parent / "template.yaml"
    template.write_text('request: {first: "{first}", second: "{second}"}\nlabel: label\n')
    if server.startswith("mlserver"):
        over_grpc = server.endswith("grpc")
        names = ("GRPC", "HTTP") if over_grpc else ("HTTP", "GRPC")
        ports = f"MLSERVER_{names[0]}_PORT={{port}} MLSERVER_{names[1]}_PORT={{port2}}"
        ports += " MLSERVER_METRICS_PORT={port3} MLSERVER_PARALLEL_WORKERS=0"
        program = Path(SERVERS).with_name("mlserver")
        address = (
            "grpc://127.0.0.1:{port}/rte" if over_grpc else "http://127.0.0.1:{port}/v2/models/rte/infer"
        )
        return [
            *("--system-url", f"{server}={address}"),
            *(
                "--system-server",
                f"{server}:env {ports} {program} start {folders['mlserver']}/mlserver-model",
            ),
        ]
    path = "predict" if server == "litserve" else "answer"
    return [
        *("--system-url", f"{server}=http://127.0.0.1:{{port}}/{path}"),
        *("--system-server", f"{server}:{SERVERS} {script} --port {{port}}"),
        *("--system-template", f"{server}:{template}"),
    ]


def test_servers_answer_as_the_model_that_they_serve(exported: dict[str, Path], tmp_path: Path) -> None:
    """LitServe, MLServer over both protocols and uvicorn beside the variant; nothing is left running."""
    names = ("litserve", "mlserver", "mlserver-grpc", "uvicorn")
    words = [word for name in names for word in options_of(name, exported)]
    scenarios = ["--scenario", "single-stream,server,offline", "--rate", "20", "--connections", "4"]
    records = run(tmp_path, *scenarios, "--variants", "onnx-int8,null-server", *words)
    ours = records["onnx-int8 single-stream"]
    for name in names:
        for scenario in ("single-stream", "server", "offline"):
            record = records[f"{name} {scenario}"]
            assert record["status"] == "complete"
            assert record["quality"]["metrics"] == ours["quality"]["metrics"]
            assert record["quality"]["answers_sha256"] == ours["quality"]["answers_sha256"]
            assert record["cell"]["group"] == records[f"onnx-int8 {scenario}"]["cell"]["group"]
            assert record["placement"]["effective"]["started_by"] == "bench"
            assert record["memory"]["peak_bytes"] > 20_000_000
            assert record["start"]["load_ns"] > 0
    for name, protocol in (("mlserver", "oip"), ("mlserver-grpc", "oip-grpc")):
        effective = records[f"{name} server"]["placement"]["effective"]
        assert (effective["server"], effective["protocol"]) == ("mlserver", protocol)
        assert effective["server_version"]
    assert not left_over(str(exported["litserve"]))
    assert not left_over(str(exported["mlserver"]))


def test_the_highest_rate_of_a_server_that_keeps_an_objective_is_found(
    exported: dict[str, Path], tmp_path: Path
) -> None:
    """An objective that any rate below the capacity keeps."""
    words = ["--scenario", "server", "--slo", "p50=5s", "--variants", "onnx-int8"]
    load = run(tmp_path, *words, *options_of("litserve", exported))["litserve server"]["load"]
    assert load["promise"] == "p50=5s"
    assert 0 < load["highest_rate"] <= load["capacity"]
    assert load["highest_rate"] in [trial["rate"] for trial in load["trials"] if trial["kept"]]


@pytest.mark.skipif(not INFINITY, reason="`tox -e servers` makes the environment")
def test_infinity_answers_pairs_that_are_joined(tmp_path: Path) -> None:
    """The same in every scenario; it truncates what is too long for the model."""
    from baselines.models.resolve import resolve
    from harness.systems.artifact_cache import ArtifactCache, default_cache
    from harness.workload.tasks import get_task

    folder = resolve("embedded", get_task("rte"), ArtifactCache(default_cache())).folder
    program, offline = Path(INFINITY).with_name("infinity_emb"), "env HF_HUB_OFFLINE=1 DO_NOT_TRACK=1"
    engine = "--engine torch --no-bettertransformer --device cpu --no-model-warmup"
    command = f"{offline} {program} v2 --model-id {folder} {engine} --host 127.0.0.1 --port {{port}}"
    words = ["--system-url", "infinity=http://127.0.0.1:{port}/classify", "--system-separator", " [SEP] "]
    words += ["--system-server", command, "--variants", "onnx-int8", "--scenario", "single-stream,offline"]
    records = run(tmp_path, *words)
    single, together = (records[f"infinity {scenario}"] for scenario in ("single-stream", "offline"))
    assert (single["status"], together["status"]) == ("complete", "complete")
    assert single["placement"]["effective"]["server"] == "infinity"
    assert single["placement"]["effective"]["protocol"] == "infinity"
    assert single["quality"]["answers_sha256"] == together["quality"]["answers_sha256"]
    assert single["memory"]["peak_bytes"] > 20_000_000
    assert not left_over(str(folder))


@pytest.mark.skipif(not RAY_SERVE, reason="`tox -e servers` makes the environment")
def test_a_deployment_of_ray_serve_answers_as_the_model(exported: dict[str, Path], tmp_path: Path) -> None:
    """Its proxy answers before the deployment does; nothing of Ray is left running."""
    script, template = tmp_path / "deployment.py", tmp_path / "template.yaml"
    script.write_text(DEPLOYMENT)
    template.write_text('request: {first: "{first}", second: "{second}"}\nlabel: label\n')
    command = f"env RAY_USAGE_STATS_ENABLED=0 {RAY_SERVE} {script} {exported['litserve']} {{port}}"
    words = ["--system-url", "ray-serve=http://127.0.0.1:{port}/", "--system-template", str(template)]
    records = run(tmp_path / "store", *words, "--system-server", command, "--variants", "onnx-int8")
    ours, theirs = records["onnx-int8 single-stream"], records["ray-serve single-stream"]
    assert theirs["status"] == "complete"
    assert theirs["quality"]["answers_sha256"] == ours["quality"]["answers_sha256"]
    assert theirs["memory"]["peak_bytes"] > 20_000_000
    assert not left_over(str(script))
    assert not left_over(str(Path(RAY_SERVE).parents[1]))


@pytest.mark.parametrize("named", [False, True])
def test_the_energy_of_a_server_is_that_of_the_cpu_time_it_burns(tmp_path: Path, *, named: bool) -> None:
    """Within 5 % of what its own clock and the client's show; started by bench, or named by its pid."""
    script = tmp_path / "burning.py"
    script.write_text(BURNING)
    (tmp_path / "template.yaml").write_text('request: {first: "{first}", second: "{second}"}\nlabel: label\n')
    words = ["--variants", "onnx-int8", "--meter", "modelled", "--quality", "sample", "-n", "48"]
    words += ["--system-template", str(tmp_path / "template.yaml")]
    other = None
    if named:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        other = subprocess.Popen([sys.executable, str(script), str(port)])
        words += ["--system-url", f"burning=http://127.0.0.1:{port}/", "--system-pid", str(other.pid)]
    else:
        words += ["--system-url", "burning=http://127.0.0.1:{port}/"]
        words += ["--system-server", f"{sys.executable} {script} {{port}}"]
    try:
        record = run(tmp_path / "store", *words)["burning single-stream"]
    finally:
        if other:
            other.kill()
            other.wait()
    requests = sum(item["requests"] for item in record["rounds"])
    cpu_s = sum(item["cpu_ns"] for item in record["rounds"]) / 1e9
    client_s = sum(item["traffic"]["client_cpu_ns"] for item in record["rounds"]) / 1e9
    burnt_s = SECONDS * requests
    assert client_s < burnt_s / 2
    assert cpu_s == pytest.approx(burnt_s + client_s, rel=0.05)
    assert all(reading["grade"] == "modelled" for item in record["rounds"] for reading in item["readings"])
    joules = sum(reading["microjoules"] for item in record["rounds"] for reading in item["readings"]) / 1e6
    describe = record["energy"]["describe"]
    if watts := describe.get("watts_per_cpu"):
        assert joules == pytest.approx(watts * (burnt_s + client_s), rel=0.05)
    assert joules > 0
    assert not left_over(str(script))
