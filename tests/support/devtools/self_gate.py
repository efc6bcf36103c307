"""The project's own gate: `bench gate` on the embedded default model, for this code.

    python -m devtools.self_gate          # this code against the parent commit, as in CI
    python -m devtools.self_gate 20       # this code against itself, 20 times, then two planted regressions

Both run in a checkout. In CI a regression is measured a second time, and fails only if it shows again. If the
parent cannot be measured, this code is compared with itself, which still runs all of it. None of the passes
against itself may find a regression, or fail to measure. Two positive controls follow: a copy of this code
that is slower, and a copy that answers wrongly; the gate must find both.
"""

import argparse
import collections
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

REGRESSION, UNMEASURED, NOISY = 3, 4, 6

# one thread leaves a core free; rounds are short, and added until the uncertainty is 2 %
MEASURED = (
    *("--environment", "same", "--variants", "onnx-int8", "--threads", "1", "--profile", "quick"),
    *("--quality", "sample", "--rounds", "22", "--precision", "2%", "--time-budget", "20s"),
)

PACKAGES = ("harness", "baselines", "optimized", "reports")

SLOWER = """

_plain = Adapter.begin


def _planted(self, requests):
    import time

    begin = time.perf_counter_ns()
    finish = _plain(self, requests)
    end = begin + 3 * (time.perf_counter_ns() - begin) // 2
    while time.perf_counter_ns() < end:
        pass
    return finish


Adapter.begin = _planted
"""
"""Takes one and a half times as long."""

WRONG = """

_plain = Adapter.begin


def _planted(self, requests):
    import dataclasses

    predictions = _plain(self, requests)()
    logits = predictions.logits.copy()
    for index, request in enumerate(requests):
        if request.tokens % 3 == 0:
            logits[predictions.offsets[index] : predictions.offsets[index + 1]] *= -1
    return lambda: dataclasses.replace(predictions, logits=logits)


Adapter.begin = _planted
"""
"""The opposite answer for every third length, in float and in int8: preparation compares the two."""

PLANTED = {"half as slow again": SLOWER, "a third of the answers wrong": WRONG}


class Gate(Protocol):
    """Compares two REFs in a checkout; returns the exit code."""

    def __call__(self, base: str, head: str, folder: Path, /, *arguments: str) -> int:
        """Measure both REFs and apply the gate's rules."""


def run_gate(base: str, head: str, folder: Path, *arguments: str) -> int:
    """Run the gate in a checkout; return its exit code."""
    command = (sys.executable, "-P", "-c", "from harness.cli import main; main()", "gate")
    options = ("--base", base, "--head", head, *MEASURED, *arguments)
    return subprocess.run((*command, *options), cwd=folder, check=False).returncode


def parent_of(folder: Path) -> str | None:
    """Return the parent commit, or None without one: in a shallow clone, or outside git."""
    command = ("git", "rev-parse", "-q", "--verify", "HEAD~1^{commit}")
    try:
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def in_ci(folder: Path, gate: Gate = run_gate) -> int:
    """Compare this code with its parent; return 0, or 3 for a regression that shows twice, or 4."""
    parent = parent_of(folder)
    if parent is None:
        print_line("Found no parent commit: this code is compared with itself.")
    code = gate(parent or "here", "here", folder)
    if code == UNMEASURED and parent:
        print_line("The parent cannot be measured (see above): this code is compared with itself.")
        code = gate("here", "here", folder)
    elif code == REGRESSION:
        print_line("A regression; it is measured a second time, as the machine may be the cause.")
        code = gate(parent or "here", "here", folder)
    if code == NOISY:
        print_line("Too noisy for a verdict on this machine, which does not count as a failure.")
    return 0 if code == NOISY else code


def against_itself(passes: int, folder: Path, gate: Gate = run_gate) -> int:
    """Compare this code with itself in several passes, then with planted regressions.

    Returns 0 if no pass finds a regression and the gate finds every planted one, and 1 otherwise.
    """
    codes = [_timed("here", folder, f"Pass {number} of {passes}", gate) for number in range(1, passes + 1)]
    with tempfile.TemporaryDirectory() as scratch:
        copies = {
            name: planted(folder, Path(scratch) / f"planted{index}", PLANTED[name])
            for index, name in enumerate(PLANTED)
        }
        planted_codes = {
            name: _timed(str(copy), folder, f"Planted, {name}", gate) for name, copy in copies.items()
        }
    counts = sorted(collections.Counter(codes).items())
    print_line(f"Against itself: {', '.join(f'{count} x exit {code}' for code, count in counts)}.")
    print_line(f"Planted: {', '.join(f'{name}: exit {code}' for name, code in planted_codes.items())}.")
    wrong = set(codes) - {0, NOISY} or any(code != REGRESSION for code in planted_codes.values())
    return 1 if wrong else 0


def planted(folder: Path, copy: Path, text: str) -> Path:
    """Copy the code of a checkout, with text appended to the adapter of engines; return the copy."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(folder / name, copy / name, ignore=ignored)
    shutil.copy(folder / "pyproject.toml", copy)
    with (copy / "baselines" / "engines" / "adapter.py").open("a", encoding="utf-8") as file:
        file.write(text)
    return copy


def print_line(line: str) -> None:
    """Print a line between the output of the gate."""
    print(line, flush=True)  # noqa: T201 -- a program of its own


def _timed(head: str, folder: Path, name: str, gate: Gate) -> int:
    begin = time.monotonic()
    code = gate("here", head, folder, "--quiet")
    print_line(f"{name}: exit {code} after {time.monotonic() - begin:.0f} s.\n")
    return code


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code. Exits with 0 after help, and with 2 for bad arguments."""
    passes = _parser().parse_args(arguments).passes
    return in_ci(Path.cwd()) if passes is None else against_itself(passes, Path.cwd())


def _parser() -> argparse.ArgumentParser:
    summary = (__doc__ or "").split("\n\n", maxsplit=1)[0]
    parser = argparse.ArgumentParser("python -m devtools.self_gate", description=summary)
    passes_help = (
        "compare this code with itself this many times, then with planted regressions "
        "(default: compare it with its parent)"
    )
    parser.add_argument("passes", nargs="?", type=_passes, metavar="PASSES", help=passes_help)
    return parser


def _passes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a number of passes such as 20, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
