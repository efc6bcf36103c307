"""Results on disk: append, seal, find, never overwrite.

    ROOT/runs/RUN/journal/plan.json       while the run goes on: what was decided
                          rounds.jsonl    ... and each finished step, flushed to disk
    ROOT/runs/RUN/CELL.json               a sealed record
                  CELL-HASH.npz           its raw samples, named by what is in them

The journal goes when every cell is sealed: the samples hold all of it but the folders of this machine.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError, UsageError, unknown_name

if TYPE_CHECKING:
    import numpy as np

    from harness.record import Record
    from harness.sweep.plan import Plan

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that looks like a record and is none, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run in the store."""

    path: Path

    @property
    def name(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def _journal(self) -> Path:
        return self.path / "journal" / "rounds.jsonl"

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append one line to the journal and see it onto the disk."""
        with _writing(self.path), self._journal.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry, allow_nan=False) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Read the journal; a last line that was cut off by a crash is no entry."""
        if not self._journal.exists():
            return []
        lines = self._journal.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def mend(self) -> None:
        """Cut off what a crash left of a last line, so that the next entry begins a line of its own."""
        if self._journal.exists():
            whole = self._journal.read_bytes().rpartition(b"\n")[0]
            with _writing(self.path), self._journal.open("r+b") as file:
                file.truncate(len(whole) + 1 if whole else 0)

    def plan(self) -> "Plan":
        """Return the plan of an unfinished run; UsageError if there is nothing to go on with."""
        from harness.sweep.plan import Plan

        path = self.path / "journal" / "plan.json"
        try:
            return Plan.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError("the run is complete: nothing to resume.", where=self.name) from None
        except ValueError:
            raise StoreError("the plan of the run cannot be read.", where=self.name) from None

    def sealed(self) -> set[str]:
        """Return the ids of the cells whose record is written."""
        return {path.stem for path in self.path.glob("*.json")}

    def seal(self, record: "Record", arrays: Arrays) -> "Record":
        """Write the samples, then the record that names them; neither may exist before."""
        from harness.record import Samples

        payload = _packed(arrays)
        digest = hashlib.sha256(payload).hexdigest()
        file = f"{record.cell.id}-{digest[:12]}.npz"
        sealed = record.model_copy(update={"samples": Samples(file=file, sha256=digest)})
        with _writing(self.path):
            _write_new(self.path / file, payload)
            _write_new(
                self.path / f"{record.cell.id}.json", (sealed.model_dump_json(indent=1) + "\n").encode()
            )
        return sealed

    def finish(self) -> None:
        """Drop the journal of a run whose every cell is sealed."""
        shutil.rmtree(self.path / "journal", ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Store:
    """The results below one folder."""

    root: Path

    @property
    def _runs(self) -> Path:
        return self.root / "runs"

    def begin(self, plan: "Plan") -> RunFolder:
        """Make the run's folder and write its plan; StoreError if that cannot be done."""
        folder = RunFolder(self._runs / plan.run)
        with _writing(self.root):
            folder.path.mkdir(parents=True)
            (folder.path / "journal").mkdir()
            text = plan.model_dump_json(indent=1)
            _write_new(folder.path / "journal" / "plan.json", text.encode())
        return folder

    def check_writable(self) -> None:
        """Raise StoreError now rather than after an hour of measuring."""
        with _writing(self.root):
            self._runs.mkdir(parents=True, exist_ok=True)
            probe = self._runs / f".writable-{os.getpid()}"
            probe.write_bytes(b"x")
            probe.unlink()

    def runs(self) -> list[RunFolder]:
        """Return all runs, oldest first."""
        return [RunFolder(path) for path in sorted(self._runs.glob("*")) if path.is_dir()]

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
        """Return the runs that have a journal, the newest last; UsageError if every run is complete."""
        open_runs = [folder for folder in self.runs() if (folder.path / "journal" / "plan.json").exists()]
        if not open_runs:
            raise UsageError("no unfinished run in the store.", where=str(self.root))
        return open_runs

    def records(self, runs: Sequence[RunFolder]) -> tuple[list["Record"], list[Unreadable]]:
        """Read the records of these runs; what cannot be read is returned beside them, never raised."""
        records: list[Record] = []
        unreadable: list[Unreadable] = []
        for path in (path for folder in runs for path in sorted(folder.path.glob("*.json"))):
            found = read_record(path)
            if isinstance(found, Unreadable):
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


def read_record(path: Path) -> "Record | Unreadable":
    """Read one record; one of a newer schema is refused by name."""
    from harness.record import SCHEMA_VERSION, Record

    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text).get("schema_version")
    except (OSError, ValueError, AttributeError) as problem:
        return Unreadable(path, f"not a record: {problem}")
    if version not in range(1, SCHEMA_VERSION + 1):
        return Unreadable(path, f"schema version {version}, and this program reads 1 to {SCHEMA_VERSION}")
    try:
        return Record.model_validate_json(text)
    except ValueError as problem:
        first = str(problem).splitlines()
        return Unreadable(path, f"not a record: {' '.join(first[:3])}")


def read_samples(folder: Path, record: "Record") -> dict[str, "np.ndarray[Any, Any]"]:
    """Read a record's raw samples; StoreError if the file is missing or not the one that was sealed."""
    import numpy as np

    if record.samples is None:
        raise StoreError("the record has no samples.", where=record.cell.id)
    path = folder / record.samples.file
    try:
        payload = path.read_bytes()
    except OSError as problem:
        raise StoreError(f"the samples cannot be read: {problem.strerror}.", where=str(path)) from None
    if hashlib.sha256(payload).hexdigest() != record.samples.sha256:
        raise StoreError("the samples are not the ones that were sealed.", where=str(path))
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def _packed(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _write_new(path: Path, payload: bytes) -> None:
    """Write a file that does not exist yet, whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("xb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)  # unlike a rename, this fails where the name is taken
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as problem:
        raise StoreError(
            "there already, and the store never overwrites.", where=str(problem.filename2 or problem.filename)
        ) from None
    except OSError as problem:
        raise StoreError(
            f"the store cannot be written: {problem.strerror}.",
            where=str(place),
            remedy="Choose another with --store or BENCH_STORE; what was written before is complete.",
        ) from None
