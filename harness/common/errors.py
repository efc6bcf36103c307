"""What can go wrong, as one tree. The command line turns each error into a message and an exit code.

    BenchError                  1   a bug in bench, when raised bare
    +-- UsageError              2   an unknown name, an option value out of range
    +-- DataError               2   a data file: missing, truncated, malformed, a label outside the set
    +-- CheckpointError         2   a checkpoint: missing, pickled, of another task
    +-- DeviceError             2   a device that is not present
    +-- MeasurementError        4   nothing usable was measured
    |   +-- StoreError          4   the store or the cache cannot be written or read
    +-- InterruptedRun        130   Ctrl-C; what was measured is saved

Every error states what happened, where, and what to do about it. `ExitCode` has all codes, also those of
outcomes that are not errors.
"""

from collections.abc import Iterable
from enum import IntEnum


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
    """Some cells failed, some files cannot be read, or a check found a difference; the rest is done."""
    NOISE = 6
    """Too noisy for a verdict."""
    INTERRUPTED = 130


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
