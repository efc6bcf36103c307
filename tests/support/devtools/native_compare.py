"""The compiled encoder of this tree beside that of another commit, interleaved: CPU time of equal requests.

    python -m devtools.native_compare REF [--shapes 12L-768,4L-312] [--rounds 21] [--requests 24]

    commit --git archive--> its tree --worker--+
                                               +--> rounds, each of both trees --> ratio of CPU seconds
    this tree ------------------------worker---+

Each worker compiles its own C code, quantises the same random weights, and answers BoolQ's lengths one by
one on one thread. CPU seconds are less disturbed by other programs than the clock; the ratio of a round is of
two passes that follow each other.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
SHAPES = ("12L-768", "6L-384", "4L-312", "4L-312-8h-600")
_TREES = "optimized baselines harness tests/support pyproject.toml"


def answer_on_request(shape: str, requests: int) -> None:
    """Answer all requests for each line of standard input, and print the CPU seconds that it took."""
    import numpy as np
    import tiny
    from sequences import sequence

    from baselines.hardware.c_program import compiler
    from baselines.models.classifier import load_classifier
    from harness.workload.tasks.superglue.boolq import BOOLQ
    from optimized.native import build
    from optimized.native.engine import Engine, Library
    from optimized.native.weights import extract
    from optimized.recipes.random_shape import resolve_shape

    counts = json.loads(Path("harness/workload/data/histograms/boolq-val.json").read_text())["counts"]
    lengths = [int(length) for length, count in dict(counts).items() for _ in range(count)]
    chosen = np.random.default_rng(0).choice(lengths, requests)
    level, command = build.level_of(build.flags_here()), compiler()
    assert level is not None
    assert command is not None
    with tempfile.TemporaryDirectory() as folder:
        build.build(Path(folder) / "encoder.so", level.options, command)
        library = Library(Path(folder) / "encoder.so")
        checkpoint = resolve_shape(f"shape:{shape}", BOOLQ, tiny.Shelf(Path(folder)))
        fields, arrays = extract(load_classifier(checkpoint.folder), library.layout, shape)
    engine = Engine(library, fields, arrays, 1, 512)
    sequences = [sequence(int(length), seed=at) for at, length in enumerate(chosen)]
    engine.answer(sequences)
    _write("ready")
    for _ in sys.stdin:
        start = time.process_time()
        for each in sequences:
            engine.answer([each])
        _write(str(time.process_time() - start))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Worker:
    """A process that answers with the code of a tree."""

    def __init__(self, tree: Path, shape: str, requests: int) -> None:
        paths = os.pathsep.join(map(str, (tree, tree / "tests/support")))
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--worker", shape, "--requests", str(requests)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=pipe, stdout=pipe, text=True
        )
        if self._read() != "ready":
            raise SystemExit(f"the worker of {tree} ended before it was ready: read its message above")

    def seconds(self) -> float:
        """Return the CPU seconds of one pass."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def compare(shape: str, old: Path, rounds: int, requests: int) -> str:
    """Return a row: CPU milliseconds a request of both trees, and the median, least and largest ratio."""
    workers = [Worker(tree, shape, requests) for tree in (old, ROOT)]
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            times[side].append(workers[side].seconds())
    for worker in workers:
        worker.close()
    ratios = [new / before for before, new in zip(*times, strict=True)]
    before, new = (statistics.median(side) / requests * 1e3 for side in times)
    spread = f"[{min(ratios):.3f}, {max(ratios):.3f}]"
    return f"{shape}: {before:.3f} -> {new:.3f} ms, ratio {statistics.median(ratios):.3f} {spread}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare this tree with a commit, shape by shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ref", nargs="?", default="HEAD^")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        answer_on_request(options.worker, options.requests)
        return
    command = ["git", "-C", str(ROOT), "archive", options.ref, *_TREES.split()]
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.run(command, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(folder, filter="data")
        for shape in options.shapes.split(","):
            _write(compare(shape, Path(folder), options.rounds, options.requests))


if __name__ == "__main__":
    main()
