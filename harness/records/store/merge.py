"""Copies sealed runs from other stores: whole or not at all, checked, and never over anything.

DIR/runs/RUN --copy--> ROOT/.merging-.../RUN --check the copy--> rename to ROOT/runs/RUN
                                                    |
                                                    +--> refused: the copy is removed
"""

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from harness.common.errors import DataError, UsageError
from harness.common.files import write_new
from harness.common.inputs.files import SAMPLES, read_input
from harness.records.store.folders import RunFolder, Store, store_errors

Outcome = Literal["copied", "present", "unfinished", "conflict", "refused"]

_SUMS = ("SHA256SUMS", "SHA256SUMS.sig")
_RUN_FILE = re.compile(r"[^.].*\.(json|npz)")


@dataclass(frozen=True, slots=True)
class SealCheck:
    """What a check of a run's hashes found wrong, and what could not be checked."""

    wrong: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


CheckSeals = Callable[[RunFolder], SealCheck]
"""Compares the files of a run with the hashes that they were sealed with."""


@dataclass(frozen=True, slots=True)
class MergedRun:
    """What became of a run.

    `reasons` are why it was not copied, or what could not be checked of a copied one.
    """

    name: str
    outcome: Outcome
    records: int
    reasons: tuple[str, ...] = ()


def runs_below(folder: Path) -> list[RunFolder]:
    """Return the runs of a store, or the one run whose folder it is; UsageError if it is neither."""
    if (folder / "runs").is_dir():
        return Store(folder).runs()
    run = RunFolder(folder.resolve())
    if folder.is_dir() and (run.unfinished or next(folder.glob("*.json"), None)):
        return [run]
    raise UsageError(
        "expected a store or the folder of a run, got neither.",
        where=str(folder),
        remedy="A store holds a folder `runs`; the folder of a run holds records (*.json).",
    )


def merge_runs(runs: Sequence[RunFolder], store: Store, check: CheckSeals) -> Iterator[MergedRun]:
    """Copy each run into the store, and yield what became of it; StoreError where that cannot be written."""
    store.check_writable()
    for run in runs:
        try:
            yield _merge(run, store, check)
        except DataError as error:  # a file of the run cannot be read
            yield MergedRun(run.name, "refused", len(run.sealed()), (str(error),))


def _merge(run: RunFolder, store: Store, check: CheckSeals) -> MergedRun:
    records = len(run.sealed())
    if run.unfinished:
        reason = f"`bench run --resume {run.name}` finishes it, on the machine that it began on"
        return MergedRun(run.name, "unfinished", records, (reason,))
    target = store.run_folder(run.name)
    if not target.path.exists():
        checked = _copy(run, target, store.root, check)
        if checked is not None:
            outcome: Outcome = "refused" if checked.wrong else "copied"
            return MergedRun(run.name, outcome, records, checked.wrong or checked.unchecked)
    return _beside(run, target, records, check)


def _copy(run: RunFolder, target: RunFolder, root: Path, check: CheckSeals) -> SealCheck | None:
    """Copy a run under a temporary name, check the copy, and rename it unless something is wrong.

    None if another process has written a run of this name meanwhile.
    """
    with store_errors(root), TemporaryDirectory(prefix=".merging-", dir=root) as scratch:
        copy = RunFolder(Path(scratch) / run.name)
        copy.path.mkdir()
        for name in _names(run.path):
            write_new(copy.path / name, _content(run.path / name))
        checked = check(copy)
        if not checked.wrong:
            try:
                copy.path.rename(target.path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return None
        return checked


def _beside(run: RunFolder, present: RunFolder, records: int, check: CheckSeals) -> MergedRun:
    """Compare a run with the one of its name in the store; files that only the new one has are added."""
    if present.unfinished:
        return MergedRun(run.name, "conflict", records, ("the store has this run, and it is not finished",))
    names, there = _names(run.path), set(_names(present.path))
    shared = [name for name in names if name in there]
    differing = [name for name in shared if _content(run.path / name) != _content(present.path / name)]
    if differing:
        reason = f"the store has another run of this name, with another {', '.join(differing)}"
        return MergedRun(run.name, "conflict", records, (reason,))
    absent = [name for name in names if name not in there]
    if not absent:
        return MergedRun(run.name, "present", records)
    if (checked := check(run)).wrong:
        return MergedRun(run.name, "refused", records, checked.wrong)
    with store_errors(present.path):
        for name in sorted(absent, key=lambda name: name.endswith(".json")):  # samples before their record
            write_new(present.path / name, _content(run.path / name))
    return MergedRun(run.name, "copied", records, checked.unchecked)


def _content(path: Path) -> bytes:
    return read_input(path, SAMPLES, DataError)


def _names(folder: Path) -> list[str]:
    """Return the names of the files of a run that are copied: records, samples, sums and their signature."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise DataError(f"the folder cannot be read: {error.strerror}.", where=str(folder)) from None
    return sorted(name for name in names if name in _SUMS or _RUN_FILE.fullmatch(name))
