"""The compiled encoder of this tree beside that of another commit, interleaved: CPU time of equal requests.

    python -m devtools.native_compare REF [--shapes 12L-768,4L-312] [--rounds 21] [--requests 24]
    python -m devtools.native_compare --prebuilt WHEEL [--level avx2]

    commit --git archive--> its tree --worker--+
                                               +--> rounds, each of both trees --> ratio of CPU seconds
    this tree ------------------------worker---+

Each worker compiles its own C code, quantises the same random weights, and answers BoolQ's lengths one by
one on one thread. CPU seconds are less disturbed by other programs than the clock; the ratio of a round is of
two passes that follow each other.

With `--prebuilt` both workers have this tree. One compiles with `-march=native`, the other has the library of
a wheel: the ratio is the wheel's time over the other's. A `--level` below the CPU's best is compiled with its
own instructions and `-mtune=native`.
"""

import argparse
import io
import json
import os
import shlex
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
SHAPES = ("12L-768", "6L-384", "4L-312", "4L-312-8h-600")
_TREES = "optimized baselines harness tests/support pyproject.toml"
_LIBRARY = "optimized/native/prebuilt/encoder.so"


def answer_on_request(shape: str, requests: int, compiled: argparse.Namespace) -> None:
    """Answer all requests for each line of standard input, and print the CPU seconds that it took.

    `compiled` has `level`, `encoder` and `options`, each None for the best level, compiled with its options.
    """
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
    with tempfile.TemporaryDirectory() as folder:
        if compiled.encoder:
            library = Library(Path(compiled.encoder), compiled.level or level.name)
        else:
            assert command is not None
            options = level.options if compiled.options is None else shlex.split(compiled.options)
            # as trees before the levels had names of their own
            build.build(Path(folder) / "encoder.so", options, command)
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

    def __init__(self, tree: Path, shape: str, requests: int, arguments: Sequence[str] = ()) -> None:
        paths = os.pathsep.join(map(str, (tree, tree / "tests/support")))
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--worker", shape, "--requests", str(requests), *arguments]
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


def compare(shape: str, workers: Sequence[Worker], rounds: int, requests: int) -> str:
    """Return a row: CPU milliseconds a request of both workers, and the median, least and largest ratio."""
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


def compare_commits(options: argparse.Namespace) -> None:
    """Compare this tree with a commit, shape by shape."""
    command = ["git", "-C", str(ROOT), "archive", options.ref, *_TREES.split()]
    with tempfile.TemporaryDirectory() as folder:
        files = subprocess.run(command, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(folder, filter="data")
        for shape in options.shapes.split(","):
            workers = [Worker(tree, shape, options.requests) for tree in (Path(folder), ROOT)]
            _write(compare(shape, workers, options.rounds, options.requests))


def compare_wheel(options: argparse.Namespace) -> None:
    """Compare a wheel's library with one that is compiled for this CPU, shape by shape."""
    from optimized.native import build

    best = build.level_of(build.flags_here())
    levels = {level.name: level for level in build.LEVELS if level.needs <= build.flags_here()}
    if best is None or (options.level or best.name) not in levels:
        raise SystemExit(f"expected a level of this CPU ({', '.join(levels)}), got {options.level}")
    level = levels[options.level or best.name]
    native = ["-march=native"] if level == best else [*level.options, "-mtune=native"]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(options.prebuilt) as wheel:
        library = wheel.extract(_LIBRARY, folder)
        sides = ([f"--options={shlex.join(native)}"], [f"--encoder={library}", f"--level={level.name}"])
        _write(f"{level.name}: {shlex.join(native)} -> {Path(options.prebuilt).name}")
        for shape in options.shapes.split(","):
            workers = [Worker(ROOT, shape, options.requests, side) for side in sides]
            _write(compare(shape, workers, options.rounds, options.requests))


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare this tree with a commit, or with a wheel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ref", nargs="?", default="HEAD^")
    parser.add_argument("--prebuilt", metavar="WHEEL", help="compare with a wheel's library, not with REF")
    parser.add_argument("--level", help="of instructions; default: the best of this CPU")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--requests", type=int, default=24)
    for name in ("worker", "encoder", "options"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        answer_on_request(options.worker, options.requests, options)
    elif options.prebuilt:
        compare_wheel(options)
    else:
        compare_commits(options)


if __name__ == "__main__":
    main()
