"""The project's own gate: `bench gate` on a fast path of this code, the embedded default.

    python -m devtools.self_gate          # the parent commit against this code: what CI does
    python -m devtools.self_gate 20       # this code against itself, 20 times, and then what is planted

Both run in a checkout. In CI a regression is measured a second time, and fails only if it shows again; where
there is no parent that can be measured, this code is held against itself, which still runs all of it. Of the
passes against itself none may find a regression, or fail to measure. Two controls follow, of a copy of this
code that takes longer, and of one that answers wrongly: each has to be found.
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

# one thread leaves a core to others; rounds are short, and added until base and head are known to 2 %
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
    found = _plain(self, requests)
    end = begin + 3 * (time.perf_counter_ns() - begin) // 2
    while time.perf_counter_ns() < end:
        pass
    return found


Adapter.begin = _planted
"""
"""Half as long again."""

WRONG = """

_plain = Adapter.begin


def _planted(self, requests):
    import dataclasses

    found = _plain(self, requests)()
    logits = found.logits.copy()
    for at, request in enumerate(requests):
        if request.tokens % 3 == 0:
            logits[found.offsets[at] : found.offsets[at + 1]] *= -1
    return lambda: dataclasses.replace(found, logits=logits)


Adapter.begin = _planted
"""
"""The opposite answer to every third length, in float as in int8: preparing compares the two, and agrees."""

PLANTED = {"half as slow again": SLOWER, "a third of the answers wrong": WRONG}


class Gate(Protocol):
    """Holds one REF against another, in a checkout; returns the exit code."""

    def __call__(self, base: str, head: str, folder: Path, /, *words: str) -> int:
        """Measure and judge."""


def gated(base: str, head: str, folder: Path, *words: str) -> int:
    """Run the gate in a checkout; return its exit code."""
    command = (sys.executable, "-P", "-c", "from harness.cli import main; main()", "gate")
    told = ("--base", base, "--head", head, *MEASURED, *words)
    return subprocess.run((*command, *told), cwd=folder, check=False).returncode


def parent_of(folder: Path) -> str | None:
    """Return the parent commit, None without one: in a shallow clone, or outside git."""
    words = ("git", "rev-parse", "-q", "--verify", "HEAD~1^{commit}")
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def in_ci(folder: Path, gate: Gate = gated) -> int:
    """Hold this code against its parent; return 0, or 3 for a regression that shows twice, or 4."""
    parent = parent_of(folder)
    if parent is None:
        say("There is no parent commit here: this code is held against itself.")
    code = gate(parent or "here", "here", folder)
    if code == UNMEASURED and parent:
        say("Against the parent it cannot be measured (see above): this code is held against itself.")
        code = gate("here", "here", folder)
    elif code == REGRESSION:
        say("A regression: measured a second time, to see whether it is the machine.")
        code = gate(parent or "here", "here", folder)
    if code == NOISY:
        say("Too noisy to say here, which is no failure: a regression shows on a quiet machine.")
    return 0 if code == NOISY else code


def against_itself(passes: int, folder: Path, gate: Gate = gated) -> int:
    """Hold this code against itself so often, then against what is planted; 0 if all went as it should."""
    codes = [_timed("here", folder, f"Pass {number} of {passes}", gate) for number in range(1, passes + 1)]
    with tempfile.TemporaryDirectory() as scratch:
        copies = {
            name: planted(folder, Path(scratch) / f"planted{at}", PLANTED[name])
            for at, name in enumerate(PLANTED)
        }
        found = {name: _timed(str(copy), folder, f"Planted, {name}", gate) for name, copy in copies.items()}
    told = ", ".join(f"{count} x exit {code}" for code, count in sorted(collections.Counter(codes).items()))
    say(f"Against itself: {told}.")
    say(f"Planted: {', '.join(f'{name}: exit {code}' for name, code in found.items())}.")
    wrong = set(codes) - {0, NOISY} or any(code != REGRESSION for code in found.values())
    return 1 if wrong else 0


def planted(folder: Path, copy: Path, text: str) -> Path:
    """Copy the code of a checkout, with something added to the adapter of engines; return the copy."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(folder / name, copy / name, ignore=ignored)
    shutil.copy(folder / "pyproject.toml", copy)
    with (copy / "baselines" / "engines" / "adapter.py").open("a", encoding="utf-8") as file:
        file.write(text)
    return copy


def say(words: str) -> None:
    """Print a line of our own between what the gate prints."""
    print(words, flush=True)  # noqa: T201 -- a program of its own


def _timed(head: str, folder: Path, name: str, gate: Gate) -> int:
    begin = time.monotonic()
    code = gate("here", head, folder, "--quiet")
    say(f"{name}: exit {code} after {time.monotonic() - begin:.0f} s.\n")
    return code


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code. Exits with 0 after help, with 2 for bad words."""
    passes = _parser().parse_args(words).passes
    return in_ci(Path.cwd()) if passes is None else against_itself(passes, Path.cwd())


def _parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").split("\n\n", maxsplit=1)[0]
    parser = argparse.ArgumentParser("python -m devtools.self_gate", description=about)
    said = (
        "hold this code against itself so often, then against what is planted (default: against its parent)"
    )
    parser.add_argument("passes", nargs="?", type=_passes, metavar="PASSES", help=said)
    return parser


def _passes(word: str) -> int:
    if not (word.isascii() and word.isdigit() and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is no number of passes, such as 20")
    return int(word)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
