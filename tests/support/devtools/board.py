"""Measures what docs/howto/gpu.md lists as never run, on one GPU board, in less than eight minutes.

    python -m devtools.board OUTPUT [--device cuda:0] [--minutes 8] [--wheels DIR]

    STEPS --within the time that is left--> OUTPUT/NAME.txt: what each command printed
                                            OUTPUT/results: the records, which `bench verify` reads
                                            OUTPUT/steps.json: exit codes and seconds, or why one was left out

A step that would not fit is left out; one that takes longer is interrupted, and keeps what it has measured.
With `--wheels`, a wheel of onnxruntime-gpu in that folder replaces onnxruntime first, so that `onnx-cuda` is
measured. The seconds of the steps are guesses: no board has run them yet.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

BENCH = (sys.executable, "-P", "-c", "from harness.cli import main; main()")
PIP = (sys.executable, "-m", "pip")
GRACE_S = 30.0
"""An interrupted command ends in order within this time."""

JOULES_OF = "pytorch-fixed,pytorch-packed-bf16"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of bench or pip: it starts if `least_s` are left, and is interrupted after `most_s`."""

    name: str
    arguments: tuple[str, ...]
    least_s: float
    most_s: float
    program: tuple[str, ...] = BENCH


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: its exit code and seconds, or the reason why it has no code."""

    name: str
    command: str
    code: int | None
    seconds: float
    reason: str = ""


RunCommand = Callable[[Step, float, Path], int | None]
"""Runs a step for at most these seconds, with its output in a file; returns None if it had to be killed."""


def board_steps(device: str, store: Path, wheels: Path | None = None) -> list[Step]:
    """Return the steps, the most valuable first."""
    place = ("--device", device, "--store", str(store))
    quick = ("--profile", "quick", "--rounds", "3", "--launches", "1", "--batch", "64")
    joules = (
        "--model",
        "shape:12L-768",
        "--variants",
        JOULES_OF,
        "--scenario",
        "offline",
        "--quality",
        "sample",
    )
    return [
        *(_install(wheels) if wheels else ()),
        Step("doctor", ("doctor", "--device", device, "--check"), 10, 60),
        Step("speed", ("ladder", "--shapes", "paper-gpu", "--meter", "none", *quick, *place), 90, 270),
        Step("roofline", ("roofline", "latest", *place), 15, 60),
        Step("joules", ("run", *joules, *quick, *place), 100, 240),
        Step("verify", ("verify", str(store)), 5, 60),
    ]


def _install(wheels: Path) -> list[Step]:
    if not next(wheels.glob("onnxruntime_gpu-*.whl"), None):
        raise SystemExit(f"{wheels} holds no wheel of onnxruntime-gpu")
    offline = ("--no-index", "--find-links", str(wheels), "--no-deps")
    return [
        Step("uninstall", ("uninstall", "-y", "onnxruntime"), 5, 30, PIP),
        Step("install", ("install", *offline, "onnxruntime-gpu"), 20, 60, PIP),
    ]


def run_steps(
    steps: Sequence[Step],
    output: Path,
    budget_s: float,
    run: RunCommand,
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Run the steps that fit into the budget, and write what became of each after every one."""
    outcomes: list[Outcome] = []
    started = clock()
    for step in steps:
        left_s = budget_s - (clock() - started)
        outcomes.append(_outcome(step, output, left_s, run, clock))
        (output / "steps.json").write_text(json.dumps(list(map(asdict, outcomes)), indent=1) + "\n")
    return outcomes


def _outcome(step: Step, output: Path, left_s: float, run: RunCommand, clock: Callable[[], float]) -> Outcome:
    program = "pip" if step.program == PIP else "bench"
    command = " ".join((program, *step.arguments)).replace(str(output), "OUTPUT")
    if left_s < step.least_s:
        reason = f"left out: it takes {step.least_s:.0f} s or more, and {max(left_s, 0):.0f} s were left"
        return Outcome(step.name, command, None, 0.0, reason)
    before = clock()
    code = run(step, min(left_s, step.most_s), output / f"{step.name}.txt")
    reason = "" if code is not None else "killed: it did not end after it was interrupted"
    return Outcome(step.name, command, code, round(clock() - before, 1), reason)


def run_command(step: Step, limit_s: float, log: Path) -> int | None:
    """Run a step in a process of its own, and interrupt it at the limit as Ctrl-C would."""
    # a shell's background job ignores the signal, and so would what it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
        log.open("w") as file,
        subprocess.Popen([*step.program, *step.arguments], stdout=file, stderr=file) as process,
    ):
        with suppress(subprocess.TimeoutExpired):
            return process.wait(limit_s)
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(GRACE_S)
        process.kill()
    return None


def main() -> int:
    """Run the steps; return 1 if one has no exit code, or another than 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--wheels", type=Path)
    options = parser.parse_args()
    output = options.output.resolve()
    output.mkdir(parents=True)
    os.environ.setdefault("BENCH_CACHE", str(output / "cache"))
    steps = board_steps(options.device, output / "results", options.wheels)
    outcomes = run_steps(steps, output, 60 * options.minutes - GRACE_S, run_command)
    for outcome in outcomes:
        line = f"{outcome.name}: {outcome.reason or f'exit code {outcome.code}'}, {outcome.seconds:.0f} s"
        print(line)  # noqa: T201 -- a program of its own
    return int(any(outcome.code != 0 for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
