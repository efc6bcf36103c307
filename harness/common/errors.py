"""What can go wrong, as one tree; the command line turns each leaf into a message and an exit code.

    BenchError                  1   a bug of ours, when raised bare
    +-- UsageError              2   an unknown name, an option value out of range
    +-- DataError               2   a data file: missing, truncated, malformed, a label outside the set
    +-- CheckpointError         2   a checkpoint: missing, pickled, of another task
    +-- DeviceError             2   a device that is not there
    +-- RegressionError         3   the gate found a regression
    +-- MeasurementError        4   nothing usable was measured
    |   +-- StoreError          4   the store or the cache cannot be written or read
    +-- PartialError            5   a cell that was asked for failed; the rest is saved
    +-- NoiseError              6   too noisy to say
    +-- InterruptedRun        130   Ctrl-C; what was measured is saved

Every error says what happened, where, and what to do about it.
"""

from collections.abc import Iterable


class BenchError(Exception):
    """The root: `message` says what happened, `where` names the place, `remedy` says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n{self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{remedy}"


class UsageError(BenchError):
    """An unknown name or an option value that makes no sense."""

    exit_code = 2


class DataError(BenchError):
    """A data file that is missing, truncated, malformed, or holds a label outside the task's set."""

    exit_code = 2


class CheckpointError(BenchError):
    """A checkpoint that is missing, pickled, incomplete, or made for another task."""

    exit_code = 2


class DeviceError(BenchError):
    """A device that is not there."""

    exit_code = 2


class RegressionError(BenchError):
    """The gate found a regression."""

    exit_code = 3


class MeasurementError(BenchError):
    """Nothing usable was measured."""

    exit_code = 4


class StoreError(MeasurementError):
    """The store or the cache cannot be written or read."""


class PartialError(BenchError):
    """A cell that was asked for failed; the rest is saved."""

    exit_code = 5


class NoiseError(BenchError):
    """Too noisy to say."""

    exit_code = 6


class InterruptedRun(BenchError):
    """The user stopped the run; what was measured is saved."""

    exit_code = 130


def unknown_name(kind: str, name: str, valid_names: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among the valid ones, with the most similar of these."""
    import difflib

    names = sorted(valid_names)
    similar = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(similar)}?" if similar else f"Known: {', '.join(names)}."
    return UsageError(f"unknown {kind} {name!r}.", remedy=remedy)
