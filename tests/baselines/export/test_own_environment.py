"""Exported folders in environments of their own, with the lines of their READMEs: `tox -e export` runs it."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import encoders
import pytest

from harness.workload.tasks.superglue.boolq import BOOLQ

OPTIMUM = os.environ.get("OPTIMUM_PYTHON")
pytestmark = pytest.mark.skipif(not OPTIMUM, reason="`tox -e export` makes the environments")

LOADED_BY_OPTIMUM = """
import json, sys
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer
model = ORTModelForSequenceClassification.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
for line in sys.stdin:
    request = json.loads(line)
    tokens = tokenizer(request["first"], request["second"], truncation="only_first", return_tensors="pt")
    logits = model(**tokens).logits[0].tolist()
    print(json.dumps({model.config.id2label[column]: logit for column, logit in enumerate(logits)}))
"""

CLIENT = """
import json, sys, time, urllib.error, urllib.request
url = sys.argv[1]
for _ in range(1200):
    try:
        urllib.request.urlopen(url + "/health", timeout=10).close()
        break
    except OSError:
        time.sleep(0.1)
for body in json.load(sys.stdin):
    try:
        answer = urllib.request.urlopen(url + "/answer", body.encode(), timeout=60)
    except urllib.error.HTTPError as problem:
        answer = problem
    print(json.dumps([answer.status, json.load(answer)]))
"""


def export(variant: str, folder: Path, *options: str) -> Path:
    """Export a variant for BoolQ, of the embedded model unless another is named."""
    bench = [str(Path(sys.executable).with_name("bench")), "export", variant, "--task", "boolq", "-q"]
    done = subprocess.run([*bench, *options, "-o", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def lines_of(folder: Path, heading: str) -> list[str]:
    """Return the lines of the first block of commands below a heading of the README."""
    text = (folder / "README.md").read_text().partition(f"## {heading}\n")[2]
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert block
    return block[1].splitlines()


def run_line(folder: Path, line: str) -> str:
    """Run a line of a README from the folder; python3 is the one of the tests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        "PATH": path,
        **{name: text for name, text in os.environ.items() if name.startswith("PIP_")},
    }
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["native-int8", "onnx-int8", "fastest"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a variant, and install what its README says, into an environment in the folder."""
    folder = export(request.param, tmp_path_factory.mktemp("exported") / request.param)
    run_line(folder, lines_of(folder, "Serve it")[0])
    return folder


def test_the_line_of_the_readme_gives_as_many_equal_answers_as_it_claims(installed: Path) -> None:
    """And a changed file is noticed by the same line."""
    line = lines_of(installed, "Serve it")[1]
    claim = re.search(r'must print "([^"]*)"', (installed / "README.md").read_text())
    assert claim
    assert run_line(installed, line).startswith(f"{claim[1]}; 34 equal labels; ")
    tokenizer = (installed / "tokenizer.json").read_bytes()
    (installed / "tokenizer.json").write_bytes(tokenizer + b" ")
    with pytest.raises(AssertionError):
        run_line(installed, line)
    (installed / "tokenizer.json").write_bytes(tokenizer)


def over_http(folder: Path, bodies: Sequence[bytes]) -> list[Any]:
    """Install what the README says, serve on a free port; return the status and answer of each body."""
    install, _, _ = lines_of(folder, "Serve it over HTTP")
    run_line(folder, install)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(["env/bin/python", "serve_http.py", "--port", str(port)], cwd=folder)
    try:
        # a program of its own: the tests themselves may connect to nothing
        client = [sys.executable, "-I", "-c", CLIENT, f"http://127.0.0.1:{port}"]
        text = json.dumps([body.decode() for body in bodies])
        done = subprocess.run(client, input=text, capture_output=True, text=True, check=False)
    finally:
        process.terminate()
        process.wait(30)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_answers_over_http_are_the_direct_ones(installed: Path) -> None:
    """Bit by bit, and what is wrong gets words."""
    rows = [json.loads(line) for line in (installed / "check.jsonl").read_text().splitlines()]
    wrong = [b"{", b'{"first": 1, "second": "b"}', b"a" * 300_000]
    *answers, broken, other, large = over_http(
        installed, [*(json.dumps(row["request"]).encode() for row in rows), *wrong]
    )
    assert answers == [[200, row["answer"]] for row in rows]
    assert broken[0] == 400
    assert other == [422, {"error": '"first" must be a string'}]
    assert large[0] == 413


@pytest.mark.parametrize("family", ["embedded", "bert", "roberta", "distilbert"])
def test_optimum_loads_a_folder_with_a_graph_and_gives_its_answers(tmp_path: Path, family: str) -> None:
    """Requests of the check that fit the maximum length, or lose only tokens of the first text."""
    options = []
    if family != "embedded":
        encoders.saved(encoders.model_of(family, BOOLQ), tmp_path / family)
        options = ["--model", str(tmp_path / family), "--max-length", "128"]
    folder = export("onnx-fp32", tmp_path / "exported", *options)
    rows = [json.loads(line) for line in (folder / "check.jsonl").read_text().splitlines()]
    done = subprocess.run(
        [str(OPTIMUM), "-c", LOADED_BY_OPTIMUM, str(folder)],
        input="".join(json.dumps(row["request"]) + "\n" for row in rows),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line, row in zip(done.stdout.splitlines(), rows, strict=True):
        assert json.loads(line) == pytest.approx(row["answer"]["scores"], abs=1e-4)
