"""Results on disk: append, seal, find, never overwrite.

    ROOT/runs/RUN/journal/plan.json       while the run goes on: what was decided
                          rounds.jsonl    ... and each finished step, flushed to disk
                          lock            held by the process that works on the run
    ROOT/runs/RUN/CELL.json               a sealed record
                  CELL-HASH.npz           its raw samples, named by what is in them

The journal goes when every cell is sealed: the samples hold all of it but the folders of this machine. At
whichever step a process is killed or the disk is full, what was finished before stays whole, and the run can
go on (`harness/common/files.py`); the journal is renamed before it is removed.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import StoreError, UsageError, unknown_name
from harness.common.files import append_line, cut_torn_line, holds, write_new
from harness.common.locks import Hold, hold

if TYPE_CHECKING:
    import numpy as np

    from harness.records.plan import Plan
    from harness.records.record import Record

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that looks like a record and is none, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run in the store; `held` keeps other processes from working on it."""

    path: Path
    held: Hold | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def unfinished(self) -> bool:
        """Whether there is a journal to go on with."""
        return self._plan.exists()

    @property
    def _plan(self) -> Path:
        return self.path / "journal" / "plan.json"

    @property
    def _journal(self) -> Path:
        return self.path / "journal" / "rounds.jsonl"

    def taken(self) -> "RunFolder":
        """Return the unfinished run as held by this process; UsageError if another one works on it."""
        if not self.unfinished:
            raise UsageError("the run is complete: nothing to resume.", where=self.name)
        with _writing(self.path):
            held = hold(self.path / "journal" / "lock")
        if held is None:
            raise UsageError(
                "another process is measuring this run.",
                where=self.name,
                remedy="Wait until it is done; if it is interrupted, `bench run --resume` goes on with it.",
            )
        return replace(self, held=held)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append one line to the journal and see it onto the disk, or leave the journal as it was."""
        with _writing(self.path, _GOES_ON.format(self.name)):
            append_line(self._journal, json.dumps(entry, allow_nan=False))

    def entries(self) -> list[dict[str, Any]]:
        """Read the journal; a last line that was cut off by a crash is skipped."""
        if not self._journal.exists():
            return []
        lines = self._journal.read_text(encoding="utf-8").split("\n")
        return [self._entry(number, line) for number, line in enumerate(lines[:-1], 1)]

    def _entry(self, number: int, line: str) -> dict[str, Any]:
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            raise StoreError(
                f"line {number} of the journal cannot be read.",
                where=str(self._journal),
                remedy="Delete that line and resume the run: what it held is measured again.",
            ) from None
        return entry

    def mend(self) -> None:
        """Cut off what a crash left of a last line, so that the next entry begins a line of its own."""
        if self._journal.exists():
            with _writing(self.path, _GOES_ON.format(self.name)):
                cut_torn_line(self._journal)

    def plan(self) -> "Plan":
        """Return the plan of an unfinished run; UsageError if there is nothing to go on with."""
        from harness.records.plan import Plan

        try:
            return Plan.model_validate_json(self._plan.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError("the run is complete: nothing to resume.", where=self.name) from None
        except ValueError:
            raise StoreError("the plan of the run cannot be read.", where=self.name) from None

    def sealed(self) -> set[str]:
        """Return the ids of the cells whose record is written."""
        return {path.stem for path in self.path.glob("*.json")}

    def record(self, cell: str) -> "Record":
        """Return the sealed record of a cell; StoreError if it cannot be read."""
        path = self.path / f"{cell}.json"
        found = read_record(path)
        if isinstance(found, UnreadableFile):
            raise StoreError(f"{found.reason}.", where=str(path), remedy="Delete it: it is sealed again.")
        return found

    def seal(self, record: "Record", arrays: Arrays) -> "Record":
        """Write the samples, then the record that names them, which may not exist before.

        The same samples may: a crash between the two leaves them, and their name says what is in them.
        """
        from harness.records.record import SamplesFile, sealed_sha256

        payload = _packed(arrays)
        digest = hashlib.sha256(payload).hexdigest()
        file = f"{record.cell.id}-{digest[:12]}.npz"
        named = record.model_copy(update={"samples": SamplesFile(file=file, sha256=digest)})
        content = sealed_sha256(json.loads(named.model_dump_json()))
        sealed = named.model_copy(update={"content_sha256": content})
        with _writing(self.path, _GOES_ON.format(self.name)):
            if not holds(self.path / file, payload):
                write_new(self.path / file, payload)
            write_new(
                self.path / f"{record.cell.id}.json", (sealed.model_dump_json(indent=1) + "\n").encode()
            )
        return sealed

    def finish(self) -> None:
        """Drop the journal of a run whose every cell is sealed, and what killed processes left beside it."""
        done = self.path / ".finished"
        shutil.rmtree(done, ignore_errors=True)
        with suppress(OSError):
            (self.path / "journal").rename(done)  # half a journal must not look like a run to go on with
        shutil.rmtree(done, ignore_errors=True)
        for scratch in self.path.glob(".*"):
            with suppress(OSError):
                scratch.unlink()


@dataclass(frozen=True, slots=True)
class Store:
    """The results below one folder."""

    root: Path

    @property
    def _runs(self) -> Path:
        return self.root / "runs"

    def begin(self, plan: "Plan") -> RunFolder:
        """Make the run's folder, hold it and write its plan; StoreError if that cannot be done."""
        path = self._runs / plan.run
        with _writing(self.root):
            path.mkdir(parents=True)
            (path / "journal").mkdir()
            held = hold(path / "journal" / "lock")
            write_new(path / "journal" / "plan.json", plan.model_dump_json(indent=1).encode())
        return RunFolder(path, held)

    def has(self, name: str) -> bool:
        """Say whether a run of this name is there."""
        return (self._runs / name).exists()

    def check_writable(self) -> None:
        """Raise StoreError now rather than after an hour of measuring."""
        with _writing(self.root):
            self._runs.mkdir(parents=True, exist_ok=True)
            probe = self._runs / f".writable-{os.getpid()}"
            probe.write_bytes(b"x")
            probe.unlink()

    def runs(self) -> list[RunFolder]:
        """Return all runs, oldest first; a folder that a crash left before anything was in it is none."""
        folders = [RunFolder(path) for path in sorted(self._runs.glob("*")) if path.is_dir()]
        return [each for each in folders if each.unfinished or next(each.path.glob("*.json"), None)]

    def run(self, name: str) -> RunFolder:
        """Return a run by id, or `latest`; UsageError if there is none."""
        runs = {folder.name: folder for folder in self.runs()}
        if not runs:
            raise UsageError(
                "the store holds no runs.", where=str(self.root), remedy="`bench run` makes one."
            )
        if name == "latest":
            return runs[max(runs)]
        if name not in runs:
            raise unknown_name("run", name, runs)
        return runs[name]

    def unfinished(self) -> list[RunFolder]:
        """Return the runs with a journal that nobody works on, the newest last; UsageError if none."""
        open_runs = [folder for folder in self.runs() if folder.unfinished]
        free = [folder for folder in open_runs if not _busy(folder)]
        if not free:
            busy = "" if not open_runs else f" but {open_runs[-1].name}, which is being measured now"
            raise UsageError(f"no unfinished run in the store{busy}.", where=str(self.root))
        return free

    def records(self, runs: Sequence[RunFolder]) -> tuple[list["Record"], list[UnreadableFile]]:
        """Read the records of these runs; what cannot be read is returned beside them, never raised."""
        records: list[Record] = []
        unreadable: list[UnreadableFile] = []
        for path in (path for folder in runs for path in sorted(folder.path.glob("*.json"))):
            found = read_record(path)
            if isinstance(found, UnreadableFile):
                unreadable.append(found)
            else:
                records.append(found)
        place = {folder.name: number for number, folder in enumerate(runs)}
        return sorted(
            records, key=lambda record: (place.get(record.run, len(runs)), *_as_asked(record))
        ), unreadable


def _as_asked(record: "Record") -> tuple[str, list[int]]:
    """Sort the records of a run as the user named scenarios and variants: the baseline comes first."""
    order = record.configuration
    places = ((order.get("scenarios"), record.cell.scenario), (order.get("variants"), record.cell.variant))
    return record.run, [named.index(name) if named and name in named else 0 for named, name in places]


def read_record(path: Path) -> "Record | UnreadableFile":
    """Read one record; one of a newer schema is refused by name."""
    from harness.records.record import Record

    try:
        text = path.read_bytes().decode()
    except (OSError, ValueError) as problem:
        return UnreadableFile(path, f"not a record: {problem}")
    try:
        return Record.model_validate_json(text)
    except ValueError as problem:
        return UnreadableFile(path, _why_not(text, problem))


def _why_not(text: str, problem: ValueError) -> str:
    """Return why a text is not a record: its version, or else the first thing that is wrong."""
    from harness.records.record import SCHEMA_VERSION

    try:
        version = json.loads(text).get("schema_version")
    except (ValueError, AttributeError) as broken:
        return f"not a record: {broken}"
    if version not in range(1, SCHEMA_VERSION + 1):
        return f"schema version {version}, and this program reads 1 to {SCHEMA_VERSION}"
    return f"not a record: {' '.join(str(problem).splitlines()[:3])}"


def read_samples(folder: Path, record: "Record") -> dict[str, "np.ndarray[Any, Any]"]:
    """Read a record's raw samples; StoreError if the file is missing or not the one that was sealed."""
    return unpack_samples(sealed_payload(folder, record))


def unpack_samples(payload: bytes) -> dict[str, "np.ndarray[Any, Any]"]:
    """Return the arrays of a file of samples."""
    import numpy as np

    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def sealed_payload(folder: Path, record: "Record") -> bytes:
    """Return the file of a record's samples as it was sealed; StoreError if it is missing or another."""
    if record.samples is None:
        raise StoreError("the record has no samples.", where=record.cell.id)
    path = folder / record.samples.file
    try:
        payload = path.read_bytes()
    except OSError as problem:
        raise StoreError(f"the samples cannot be read: {problem.strerror}.", where=str(path)) from None
    if hashlib.sha256(payload).hexdigest() != record.samples.sha256:
        raise StoreError("the samples are not the ones that were sealed.", where=str(path))
    return payload


def _packed(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _busy(folder: RunFolder) -> bool:
    """Say whether another process works on a run; one whose lock cannot be tried counts as free."""
    with suppress(OSError):
        return hold(folder.path / "journal" / "lock") is None
    return False


_ELSEWHERE = "Choose another with --store or BENCH_STORE; what was written before is complete."
_GOES_ON = (
    "What was written before is complete: make room or mend the store, and `bench run --resume {}` goes on."
)


@contextmanager
def _writing(place: Path, remedy: str = _ELSEWHERE) -> Iterator[None]:
    try:
        yield
    except FileExistsError as problem:
        raise StoreError(
            "there already, and the store never overwrites.", where=str(problem.filename2 or problem.filename)
        ) from None
    except OSError as problem:
        raise StoreError(
            f"the store cannot be written: {problem.strerror or problem}.", where=str(place), remedy=remedy
        ) from None
