"""What can go wrong, as one tree. The command line turns each error into a message and an exit code.

    BenchError                  1   a bug in bench, when raised bare
    +-- UsageError              2   an unknown name, an option value out of range
    +-- DataError               2   a data file: missing, truncated, malformed, a label outside the set
    +-- CheckpointError         2   a checkpoint: missing, pickled, of another task
    |   +-- UnsupportedError    2   a checkpoint that one variant or recipe cannot run; others can
    +-- DeviceError             2   a device that is not present
    +-- MeasurementError        4   nothing usable was measured
    |   +-- StoreError          4   the store or the cache cannot be written or read
    +-- InterruptedRun        130   Ctrl-C; what was measured is saved (143 after SIGTERM, 129 after SIGHUP)

Every error states what happened, where, and what to do about it. `ExitCode` has all codes, also those of
outcomes that are not errors.
"""

import os
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import IO

QUOTED_BYTES = 2**16
"""How much of the end of a program's output is read, to quote its last lines."""

QUOTED_CHARACTERS = 300
"""The longest line of a program's output that an error quotes."""


class ExitCode(IntEnum):
    """The exit codes of `bench`."""

    DONE = 0
    BUG = 1
    BAD_INPUT = 2
    REGRESSION = 3
    """The gate found a regression."""
    NOTHING_MEASURED = 4
    """Nothing could be measured, read or compared."""
    PARTIAL = 5
    """Some cells failed, some files cannot be read, or a file is not as it was; the rest is done."""
    NOISE = 6
    """Too noisy for a verdict."""
    MISMATCH = 7
    """A run does not agree with its raw values, hashes or signature."""
    HUNG_UP = 129
    """SIGHUP: the terminal was closed."""
    INTERRUPTED = 130
    """SIGINT: Ctrl-C."""
    TERMINATED = 143
    """SIGTERM: another program ended it."""


_LONGEST = 2000
"""How many characters a message, a place or a remedy may have."""


class BenchError(Exception):
    """The root: `message` says what happened, `where` names the place, `remedy` says what to do."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = _shortened(message)
        self.where = where and _shortened(where)
        self.remedy = remedy and _shortened(remedy)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        remedy = f"\n{self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{remedy}"


def _shortened(text: str) -> str:
    """Return a text that a reader can take in: a message may quote a file of any length."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 4 :]}"


class UsageError(BenchError):
    """An unknown name, or an option value out of range."""

    exit_code = ExitCode.BAD_INPUT


class DataError(BenchError):
    """A data file that is missing, truncated, malformed, or holds a label outside the task's set."""

    exit_code = ExitCode.BAD_INPUT


class CheckpointError(BenchError):
    """A checkpoint that is missing, pickled, incomplete, or made for another task."""

    exit_code = ExitCode.BAD_INPUT


class UnsupportedError(CheckpointError):
    """A checkpoint that one variant or recipe cannot run; beside others it is a row with the reason."""


class DeviceError(BenchError):
    """A device that is not present."""

    exit_code = ExitCode.BAD_INPUT


class MeasurementError(BenchError):
    """Nothing usable was measured."""

    exit_code = ExitCode.NOTHING_MEASURED


class StoreError(MeasurementError):
    """The store or the cache cannot be written or read."""


class InterruptedRun(BenchError):
    """The user stopped the run; what was measured is saved."""

    exit_code = ExitCode.INTERRUPTED


def reason_of(check: Callable[[], object]) -> str | None:
    """Return the message of the UnsupportedError that a check raises, or None if it raises none."""
    try:
        check()
    except UnsupportedError as problem:
        return problem.message
    return None


_SHOWN_NAME, _COMPARED = 80, 2000
"""Characters of a name in a message; names that are compared with an unknown one."""


def unknown_name(kind: str, name: str, valid_names: Iterable[str], *, longest: int = 2000) -> UsageError:
    """Return the error for a name that is not among the valid ones, with the most similar of these.

    A list of all valid names has at most `longest` characters.
    """
    import difflib

    names, shown = sorted(valid_names), name[:_SHOWN_NAME]
    similar = difflib.get_close_matches(shown.lower(), names, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(similar)}?" if similar else f"Known: {', '.join(names)}."
    if len(remedy) > longest:
        nearest = difflib.get_close_matches(shown.lower(), names[-_COMPARED:], n=3, cutoff=0.0)
        remedy = f"The most similar of {len(names):,}: {', '.join(nearest)}."
    return UsageError(f"unknown {kind} {shown!r}{'...' if len(name) > _SHOWN_NAME else ''}.", remedy=remedy)


def as_bad_input(error: StoreError) -> UsageError:
    """Return the same error for a place that was refused before anything was measured: exit code 2."""
    return UsageError(error.message, where=error.where, remedy=error.remedy)


def last_lines(output: IO[bytes], count: int = 3) -> list[str]:
    """Return the last lines of a program's output, to quote them in an error; long lines are cut."""
    lines = _end_of(output).decode("utf-8", "replace").strip().splitlines()[-count:]
    return [line if len(line) <= QUOTED_CHARACTERS else f"{line[:QUOTED_CHARACTERS]}..." for line in lines]


def keep_end(output: IO[bytes], limit_bytes: int) -> None:
    """Drop all but the end of a program's output if it is larger than this.

    A program that has inherited the file has its position too, and writes on behind what is kept.
    """
    if os.fstat(output.fileno()).st_size <= limit_bytes:
        return
    end = _end_of(output)
    output.seek(0)
    output.truncate()
    output.write(end)
    output.flush()


def _end_of(output: IO[bytes]) -> bytes:
    output.seek(max(0, output.seek(0, os.SEEK_END) - QUOTED_BYTES))
    return output.read(QUOTED_BYTES)
