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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from harness.catalog import COMMAND
from harness.common.errors import MeasurementError, UsageError
from harness.measurement.machine.memory import PeakMemoryTracker

PATIENCE_S = 600.0
"""How long a program may take for one start, loading included."""

LOOK_S = 0.02
"""Between two looks at the memory of a program that runs untimed."""

DATA, OUTPUT = "{data}", "{output}"


@dataclass(frozen=True, slots=True)
class ProgramStart:
    """One start of a program: its words, the folder of its answers, its stderr, who watches its memory."""

    words: tuple[str, ...]
    output: Path
    errors: IO[bytes]
    watch: PeakMemoryTracker | None = None

    def failed(self, what: str) -> MeasurementError:
        """Return the error that says what went wrong, with the program's last words."""
        self.errors.seek(0)
        last = self.errors.read().decode("utf-8", "replace").strip().splitlines()[-3:]
        said = f"Its stderr ends: {' | '.join(last)}" if last else "It wrote nothing on stderr."
        return MeasurementError(f"the program failed: {what.rstrip('.')}.", where="command", remedy=said)


@dataclass(frozen=True, slots=True)
class Program:
    """A program from file to file: its command with `{data}` and `{output}`, and how long it may take.

    `ours` says that it is a variant of ours, which tells more than its answers.
    """

    command: tuple[str, ...]
    ours: bool = False
    patience_s: float = PATIENCE_S

    @property
    def name(self) -> str:
        """The program's base name."""
        return Path(self.command[0]).name

    def words(self, data: Path, output: Path) -> list[str]:
        """Return the command with its folders in place."""
        return [word.replace(DATA, str(data)).replace(OUTPUT, str(output)) for word in self.command]

    def run(self, start: ProgramStart) -> None:
        """Run it to its end; MeasurementError if it cannot start, takes too long, or ends with an error."""
        try:
            process = subprocess.Popen(  # noqa: S603 -- the user named it, and no shell reads it
                start.words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=start.errors
            )
        except OSError as problem:
            raise start.failed(f"it cannot be started: {problem.strerror}") from None
        with _ended_after(process.pid, self.patience_s) as late:
            if start.watch:
                _look(process, start.watch)
            code = process.wait()
        if late.is_set():
            raise start.failed(f"it did not end within {self.patience_s:g} s")
        if code:
            raise start.failed(f"it ended with {f'exit code {code}' if code > 0 else f'signal {-code}'}")


def program_of(spec: Mapping[str, Any]) -> Program:
    """Return the program for a cell; `spec` holds task, split, variant, artifact, settings and placement."""
    if spec["variant"] == COMMAND:
        return Program(tuple(outside(spec["settings"]["command"])))
    kept = {**spec, "settings": {**spec["settings"], "command": ""}}
    # -P keeps the user's folder off the module path, so that a `harness.py` there cannot shadow ours
    module = (sys.executable, "-P", "-m", "harness.runs.worker.process_program")
    return Program((*module, json.dumps(kept), DATA, OUTPUT), ours=True)


def outside(command: str) -> list[str]:
    """Return the words of the user's program, split as a shell would; UsageError if it lacks a folder.

    Where it names neither `{data}` nor `{output}`, both are appended.
    """
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise UsageError(f"cannot be split: {problem}.", where="--system-command") from None
    named = [mark for mark in (DATA, OUTPUT) if any(mark in word for word in words)]
    if len(named) == 1:
        raise UsageError(
            f"the program is told {named[0]} alone.",
            where="--system-command",
            remedy=f"Name both {DATA} and {OUTPUT}, or neither: then both are appended.",
        )
    return words if named else [*words, DATA, OUTPUT]


def descendants() -> set[psutil.Process]:
    """Return all processes below this one."""
    return set(psutil.Process().children(recursive=True))


def end_all(left: set[psutil.Process]) -> None:
    """End these processes and all below them, and wait for them.

    In a worker, which adopts orphans, they may be what a program left behind, also where it cut itself loose.
    """
    while left:
        more = {child for process in left for child in _tree(process.pid)} - left
        _kill(left)
        psutil.wait_procs(left, timeout=5)
        left = more


@contextmanager
def _ended_after(pid: int, patience_s: float) -> Iterator[threading.Event]:
    """Kill a process and all below it after a time; the event says whether that happened."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _kill(_tree(pid))

    timer = threading.Timer(patience_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _look(process: subprocess.Popen[bytes], memory: PeakMemoryTracker) -> None:
    """Read the memory of a program again and again until it ends."""
    while process.poll() is None:
        with contextlib.suppress(MeasurementError, psutil.Error):
            memory.sample(process.pid)
        time.sleep(LOOK_S)


def _tree(pid: int) -> set[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return {process, *process.children(recursive=True)}
    return set()


def _kill(processes: Sequence[psutil.Process] | set[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
