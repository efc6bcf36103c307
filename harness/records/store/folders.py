"""Runs and records on disk, appended and sealed, never overwritten.

    ROOT/runs/RUN/journal/plan.json       during the run: its plan
                          rounds.jsonl    ... and each finished step, flushed to disk
                          lock            held by the process that works on the run
    ROOT/runs/RUN/CELL.json               a sealed record
                  CELL-HASH.npz           its raw samples, named by a hash of their content

The journal is removed when every cell is sealed: the samples then hold its content, except the folders of
this machine. If a process is killed or the disk fills up at any step, finished steps stay readable and the
run can be resumed (`harness/common/files.py`); the journal is renamed before it is removed.
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

from harness.common.errors import BenchError, StoreError, UsageError, unknown_name
from harness.common.files import append_line, cut_torn_line, holds, write_new
from harness.common.inputs.arrays import parse_arrays
from harness.common.inputs.files import JOURNAL, RECORD, SAMPLES, InvalidText, decode_text, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.locks import Hold, hold

if TYPE_CHECKING:
    import numpy as np

    from harness.records.plan import Plan
    from harness.records.record import Record

Arrays = Mapping[str, "np.ndarray[Any, Any]"]

_SAMPLES = {
    **dict.fromkeys(("call_round", "timed_example", "timed_round"), ("iu", 1)),
    **dict.fromkeys(("answer", "timed_answer"), ("iuU", 1)),
    "call_ns": ("iuf", 1),
    "answered": ("b", 1),
    "counts": ("iuf", 2),
}
"""The types and the dimensions of the arrays of samples, in all versions (results/README.md)."""

UNREADABLE = (ValueError, RecursionError, MemoryError, OverflowError)
"""What parsing damaged or hostile bytes raises; the errors of pydantic and of JSON are ValueErrors."""


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file with the name of a record that cannot be read as one, and the reason."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run; the lock `held` keeps other processes from working on the run."""

    path: Path
    held: Hold | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def unfinished(self) -> bool:
        """Whether the run has a journal, so that it can be resumed."""
        return self._plan.exists()

    @property
    def _plan(self) -> Path:
        return self.path / "journal" / "plan.json"

    @property
    def _journal(self) -> Path:
        return self.path / "journal" / "rounds.jsonl"

    def taken(self) -> "RunFolder":
        """Lock the unfinished run for this process; UsageError if another process works on it."""
        if not self.unfinished:
            raise UsageError("the run is complete: nothing to resume.", where=self.name)
        with store_errors(self.path):
            held = hold(self.path / "journal" / "lock")
        if held is None:
            raise UsageError(
                "another process is measuring this run.",
                where=self.name,
                remedy="Wait until it is done; if it is interrupted, `bench run --resume` continues it.",
            )
        return replace(self, held=held)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append one line to the journal and flush it to disk; on failure the journal is unchanged."""
        with store_errors(self.path, _RESUME.format(self.name)):
            append_line(self._journal, json.dumps(entry, allow_nan=False))

    def entries(self) -> list[dict[str, Any]]:
        """Read the entries of the journal; a last line that a crash cut off is ignored."""
        if not self._journal.exists():
            return []
        lines = read_input(self._journal, JOURNAL, StoreError).split(b"\n")
        return [self._entry(number, line) for number, line in enumerate(lines[:-1], 1)]

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            return parse_json_object(line)
        except InvalidText as problem:
            raise StoreError(
                f"line {number} of the journal cannot be read: {problem}.",
                where=str(self._journal),
                remedy="Delete that line and resume the run: the step of that line is measured again.",
            ) from None

    def mend(self) -> None:
        """Remove an incomplete last line that a crash left, so that the next entry starts on a new line."""
        if self._journal.exists():
            with store_errors(self.path, _RESUME.format(self.name)):
                cut_torn_line(self._journal)

    def plan(self) -> "Plan":
        """Return the plan of an unfinished run; UsageError if the run is complete."""
        from harness.records.plan import Plan

        if not self.unfinished:
            raise UsageError("the run is complete: nothing to resume.", where=self.name)
        try:
            return Plan.model_validate_json(read_input(self._plan, RECORD, StoreError))
        except UNREADABLE:
            raise StoreError(
                "the plan of the run cannot be read.",
                where=self.name,
                remedy="Start the run again: the plan is damaged, or another version wrote it.",
            ) from None

    def sealed(self) -> set[str]:
        """Return the ids of the cells that have a record."""
        return {name.removesuffix(".json") for name in self._record_names()}

    def record_paths(self) -> list[Path]:
        """Return the files that have the name of a record, in order; none where there is no folder."""
        return [self.path / name for name in sorted(self._record_names())]

    @property
    def has_records(self) -> bool:
        """Whether a file has the name of a record."""
        return bool(self._record_names())

    def _record_names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.path) if name.endswith(".json")]  # noqa: PTH208 -- names alone
        except OSError:
            return []

    def record(self, cell: str) -> "Record":
        """Return the sealed record of a cell; StoreError if it cannot be read."""
        path = self.path / f"{cell}.json"
        record = read_record(path)
        if isinstance(record, UnreadableFile):
            remedy = "Delete the file and resume the run, which writes it again."
            raise StoreError(f"{record.reason}.", where=str(path), remedy=remedy)
        return record

    def seal(self, record: "Record", arrays: Arrays) -> "Record":
        """Write the samples, then the record that names them; StoreError if the record exists already.

        A samples file with the same content may exist: a crash between the two writes leaves it.
        """
        from harness.records.record import SamplesFile, sealed_sha256

        payload = _compress(arrays)
        digest = hashlib.sha256(payload).hexdigest()
        file = f"{record.cell.id}-{digest[:12]}.npz"
        named = record.model_copy(update={"samples": SamplesFile(file=file, sha256=digest)})
        content = sealed_sha256(json.loads(named.model_dump_json()))
        sealed = named.model_copy(update={"content_sha256": content})
        with store_errors(self.path, _RESUME.format(self.name)):
            if not holds(self.path / file, payload):
                write_new(self.path / file, payload)
            write_new(
                self.path / f"{record.cell.id}.json", (sealed.model_dump_json(indent=1) + "\n").encode()
            )
        return sealed

    def finish(self) -> None:
        """Remove the journal of a run whose every cell is sealed, and temporary files of killed processes."""
        finished = self.path / ".finished"
        shutil.rmtree(finished, ignore_errors=True)
        with suppress(OSError):
            (self.path / "journal").rename(finished)  # half a journal must not look like a resumable run
        shutil.rmtree(finished, ignore_errors=True)
        for temporary in self.path.glob(".*"):
            with suppress(OSError):
                temporary.unlink()


@dataclass(frozen=True, slots=True)
class Store:
    """The runs below one folder."""

    root: Path

    @property
    def _runs(self) -> Path:
        return self.root / "runs"

    def begin(self, plan: "Plan") -> RunFolder:
        """Create the run's folder, lock it and write its plan; StoreError if that cannot be done."""
        path = self._runs / plan.run
        with store_errors(self.root):
            path.mkdir(parents=True)
            (path / "journal").mkdir()
            held = hold(path / "journal" / "lock")
            write_new(path / "journal" / "plan.json", plan.model_dump_json(indent=1).encode())
        return RunFolder(path, held)

    def run_folder(self, name: str) -> RunFolder:
        """Return the folder of a run that is known to exist."""
        return RunFolder(self._runs / name)

    def has(self, name: str) -> bool:
        """Return whether a run of this name exists."""
        return (self._runs / name).exists()

    def check_writable(self) -> None:
        """Raise StoreError if the store cannot be written: before the measurement rather than after it."""
        with store_errors(self.root):
            self._runs.mkdir(parents=True, exist_ok=True)
            probe = self._runs / f".writable-{os.getpid()}"
            probe.write_bytes(b"x")
            probe.unlink()

    def runs(self) -> list[RunFolder]:
        """Return all runs, oldest first, without empty folders that a crash left."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._runs) if entry.is_dir())
        except OSError:
            return []
        folders = [RunFolder(self._runs / name) for name in names]
        return [folder for folder in folders if folder.unfinished or folder.has_records]

    def run(self, name: str) -> RunFolder:
        """Return a run by id, or `latest`; UsageError if there is none."""
        runs = {folder.name: folder for folder in self.runs()}
        if not runs:
            raise UsageError(
                "the store holds no runs.", where=str(self.root), remedy="Measure one with `bench run`."
            )
        if name == "latest":
            return runs[max(runs)]
        if name not in runs:
            raise unknown_name("run", name, runs, longest=200)
        return runs[name]

    def unfinished(self) -> list[RunFolder]:
        """Return the runs that can be resumed, the newest last; UsageError if there are none.

        A run that another process works on is left out.
        """
        unfinished = [folder for folder in self.runs() if folder.unfinished]
        free = [folder for folder in unfinished if not _is_locked(folder)]
        if not free:
            locked = "" if not unfinished else f" but {unfinished[-1].name}, which is being measured now"
            raise UsageError(f"no unfinished run in the store{locked}.", where=str(self.root))
        return free

    def records(self, runs: Sequence[RunFolder]) -> tuple[list["Record"], list[UnreadableFile]]:
        """Read the records of these runs; unreadable files are returned beside them, not raised."""
        paths = [path for folder in runs for path in folder.record_paths()]
        results = [read_record(path) for path in paths]
        records = [result for result in results if not isinstance(result, UnreadableFile)]
        unreadable = [result for result in results if isinstance(result, UnreadableFile)]
        place = {folder.name: number for number, folder in enumerate(runs)}
        records.sort(key=lambda record: (place.get(record.run, len(runs)), *_command_order(record)))
        return records, unreadable


def _command_order(record: "Record") -> tuple[str, list[int]]:
    """Return a sort key: records of a run in the order of the command's scenarios and variants."""
    options = record.configuration
    places = (
        (options.get("scenarios"), record.cell.scenario),
        (options.get("variants"), record.cell.variant),
    )
    return record.run, [
        names.index(name) if isinstance(names, list) and name in names else 0 for names, name in places
    ]


def read_record(path: Path) -> "Record | UnreadableFile":
    """Read one record; an UnreadableFile with the reason if it is invalid or of a newer schema."""
    from harness.records.record import Record

    try:
        text = decode_text(read_input(path, RECORD, StoreError))
    except BenchError as error:
        return UnreadableFile(path, f"not a record: {error.message.rstrip('.')}")
    except UNREADABLE as error:
        return UnreadableFile(path, f"not a record: {error}")
    try:
        return Record.model_validate_json(text)
    except UNREADABLE as error:
        return UnreadableFile(path, _invalid_reason(text, error))


def _invalid_reason(text: str, error: Exception) -> str:
    """Return why a text is not a record: its schema version, or else the first validation error."""
    from harness.records.record import SCHEMA_VERSION

    try:
        version = parse_json_object(text).get("schema_version")
    except UNREADABLE as json_error:
        return f"not a record: {json_error}"
    if version not in range(1, SCHEMA_VERSION + 1):
        return f"schema version {str(version)[:20]}, and this program reads 1 to {SCHEMA_VERSION}"
    reason = " ".join(str(error).splitlines()[:3]) or type(error).__name__
    return f"not a record: {''.join(letter if letter.isprintable() else '?' for letter in reason)}"


def read_samples(folder: Path, record: "Record") -> dict[str, "np.ndarray[Any, Any]"]:
    """Read a record's raw samples; StoreError if the file is missing or was changed."""
    return unpack_samples(sealed_payload(folder, record))


def unpack_samples(payload: bytes) -> dict[str, "np.ndarray[Any, Any]"]:
    """Return the arrays of a samples file, given its bytes; StoreError where they are not samples."""
    try:
        arrays = dict(parse_arrays(payload))
    except InvalidText as problem:
        raise StoreError(f"the samples cannot be read: {problem}.") from None
    for name, values in arrays.items():
        kinds, dimensions = _SAMPLES.get(name, ("biufU", values.ndim))
        if values.dtype.kind not in kinds or values.ndim != dimensions:
            raise StoreError(f"the samples hold {name} as {values.dtype} of shape {values.shape}.")
    for names in (("call_ns", "call_round"), ("timed_example", "timed_round", "timed_answer")):
        if len({len(arrays[name]) for name in names if name in arrays}) > 1:
            raise StoreError(f"the samples hold {' and '.join(names)} of different lengths.")
    return arrays


def sealed_payload(folder: Path, record: "Record") -> bytes:
    """Return the bytes of a record's samples file; StoreError if it is missing or was changed."""
    if record.samples is None:
        raise StoreError("the record has no samples.", where=record.cell.id)
    path = folder / record.samples.file
    if path.name != record.samples.file:
        raise StoreError("the record names samples outside its own folder.", where=record.cell.id)
    payload = read_input(path, SAMPLES, StoreError)
    if hashlib.sha256(payload).hexdigest() != record.samples.sha256:
        raise StoreError("the samples are not the ones that were sealed.", where=str(path))
    return payload


def _compress(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _is_locked(folder: RunFolder) -> bool:
    """Return whether another process works on a run; a run whose lock cannot be tried counts as free."""
    with suppress(OSError):
        return hold(folder.path / "journal" / "lock") is None
    return False


_OTHER_STORE = "Choose another store with --store or BENCH_STORE; what was written before is complete."
_RESUME = (
    "What was written before is complete: free disk space or repair the store, and continue with "
    "`bench run --resume {}`."
)


@contextmanager
def store_errors(place: Path, remedy: str = _OTHER_STORE) -> Iterator[None]:
    """Turn an OSError of writing into a StoreError."""
    try:
        yield
    except FileExistsError as error:
        raise StoreError(
            "the file exists, and the store never overwrites.", where=str(error.filename2 or error.filename)
        ) from None
    except OSError as error:
        raise StoreError(
            f"the store cannot be written: {error.strerror or error}.", where=str(place), remedy=remedy
        ) from None
