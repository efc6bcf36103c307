"""Starting a program, waiting for it with a time limit, and ending all that it started.

The program runs without a shell in the worker's process group, so it is pinned with its worker and ended with
it. Waiting is left to the kernel: `Popen.wait` with a time limit polls, up to 50 ms too long.
"""

import contextlib
import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import psutil

from harness.catalog import COMMAND
from harness.common.errors import MeasurementError, UsageError, keep_end, last_lines
from harness.common.json_codec import to_json
from harness.measurement.machine.memory import PeakMemoryTracker
from harness.runs.worker.process_program import ProgramSpec

PATIENCE_S = 600.0
"""How long a program may take for one start, loading included."""

MEMORY_SAMPLE_S = 0.02
"""Between two samples of the memory of a program that runs untimed."""

WATCH_S = 1.0
"""Between two looks at a program that runs."""

ERRORS_BYTES = 2**24
"""Above this size, what a program has written on stderr is dropped but for its end, which is quoted."""

DATA, OUTPUT = "{data}", "{output}"


@dataclass(frozen=True, slots=True)
class ProgramStart:
    """One start of a program: its arguments, the folder of its answers, its stderr.

    `memory` samples its memory while it runs; None where it is timed.
    """

    arguments: tuple[str, ...]
    output: Path
    errors: IO[bytes]
    memory: PeakMemoryTracker | None = None

    def failed(self, reason: str) -> MeasurementError:
        """Return the error for this reason, with the end of the program's stderr."""
        last = last_lines(self.errors)
        remedy = f"Its stderr ends: {' | '.join(last)}" if last else "It wrote nothing on stderr."
        return MeasurementError(f"the program failed: {reason.rstrip('.')}.", where="command", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Program:
    """A program from file to file: its command with `{data}` and `{output}`, and its time limit.

    A program that is `ours` runs a variant of the catalog and leaves a `ProgramReport`.
    """

    command: tuple[str, ...]
    ours: bool = False
    patience_s: float = PATIENCE_S

    @property
    def name(self) -> str:
        """The program's base name."""
        return Path(self.command[0]).name

    def arguments(self, data: Path, output: Path) -> list[str]:
        """Return the command with its folders filled in."""
        return [part.replace(DATA, str(data)).replace(OUTPUT, str(output)) for part in self.command]

    def run(self, start: ProgramStart) -> None:
        """Run it to its end; MeasurementError if it cannot start, takes too long, or ends with an error."""
        try:
            process = subprocess.Popen(  # noqa: S603 -- the user named it, and no shell reads it
                start.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=start.errors
            )
        except OSError as problem:
            raise start.failed(f"it cannot be started: {problem.strerror}") from None
        with _watched(process.pid, self.patience_s, start.errors) as timed_out:
            if start.memory:
                _sample_memory(process, start.memory)
            code = process.wait()
        if timed_out.is_set():
            raise start.failed(f"it did not end within {self.patience_s:g} s")
        if code:
            raise start.failed(f"it ended with {f'exit code {code}' if code > 0 else f'signal {-code}'}")


def program_of(spec: ProgramSpec) -> Program:
    """Return the program for a cell: the user's, or one of ours that runs the variant of the spec."""
    if spec.variant == COMMAND:
        return Program(tuple(split_command(spec.settings.command)))
    spec = replace(spec, settings=replace(spec.settings, command=""))
    # -P keeps the user's folder off the module path, so that a `harness.py` there cannot shadow ours
    module = (sys.executable, "-P", "-m", "harness.runs.worker.process_program")
    return Program((*module, json.dumps(to_json(spec)), DATA, OUTPUT), ours=True)


def split_command(command: str) -> list[str]:
    """Return the user's command, split as a shell would; UsageError if it names one folder alone.

    Where it names neither `{data}` nor `{output}`, both are appended.
    """
    try:
        parts = shlex.split(command)
    except ValueError as problem:
        raise UsageError(f"cannot be split: {problem}.", where="--system-command") from None
    named = [mark for mark in (DATA, OUTPUT) if any(mark in part for part in parts)]
    if len(named) == 1:
        raise UsageError(
            f"expected both {DATA} and {OUTPUT}, got {named[0]} alone.",
            where="--system-command",
            remedy="Name both, or neither: then both are appended.",
        )
    return parts if named else [*parts, DATA, OUTPUT]


def descendants() -> set[psutil.Process]:
    """Return all processes below this one."""
    return set(psutil.Process().children(recursive=True))


def end_all(processes: set[psutil.Process]) -> None:
    """Kill these processes and all below them, and wait for them.

    A worker adopts orphans, so these may also be processes that a program left behind in another session.
    """
    while processes:
        children = {child for process in processes for child in _tree(process.pid)} - processes
        _kill(processes)
        psutil.wait_procs(processes, timeout=5)
        processes = children


@contextmanager
def _watched(pid: int, patience_s: float, errors: IO[bytes]) -> Iterator[threading.Event]:
    """Kill a process and all below it after a time; the event is set when that happened.

    Once a second the file of its errors is cut to its end if it has grown too large.
    """
    timed_out, ended = threading.Event(), threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + patience_s
        while not ended.wait(max(0.0, min(WATCH_S, deadline - time.monotonic()))):
            with contextlib.suppress(OSError, ValueError):  # it may be closed by now
                keep_end(errors, ERRORS_BYTES)
            if time.monotonic() >= deadline:
                timed_out.set()
                _kill(_tree(pid))
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield timed_out
    finally:
        ended.set()  # without a join: the clock still runs


def _sample_memory(process: subprocess.Popen[bytes], memory: PeakMemoryTracker) -> None:
    """Sample the memory of a program until it ends."""
    while process.poll() is None:
        with contextlib.suppress(MeasurementError, psutil.Error):
            memory.sample(process.pid)
        time.sleep(MEMORY_SAMPLE_S)


def _tree(pid: int) -> set[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return {process, *process.children(recursive=True)}
    return set()


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
