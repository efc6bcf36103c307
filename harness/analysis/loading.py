"""Loads the records that a user names: a run, `latest`, a folder, or one file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.analysis.comparison import SampleAccess
    from harness.analysis.comparison.quantities import Samples
    from harness.records.record import Record
    from harness.records.store import Store, UnreadableFile
    from harness.workload.tasks.base import Task


@dataclass(frozen=True, slots=True)
class LoadedRecords:
    """The records of one name, the unreadable files beside them, and the folder of their samples."""

    records: "list[Record]"
    unreadable: "list[UnreadableFile]"
    folder: Path


def find_records(name: str, store: "Store") -> LoadedRecords:
    """Return the records of a run id, `latest`, a folder or a file; MeasurementError if none can be read."""
    from harness.common.errors import DataError, MeasurementError
    from harness.records.store import RunFolder, UnreadableFile, read_record

    path = Path(name)
    if path.is_file():
        record = read_record(path)
        if isinstance(record, UnreadableFile):
            raise DataError(f"cannot be read: {record.reason}.", where=name)
        return LoadedRecords([record], [], path.parent)
    folder = RunFolder(path.resolve()) if path.is_dir() else store.run(name)
    records, unreadable = store.records([folder])
    if not records:
        raise MeasurementError(
            "no readable record.",
            where=name,
            remedy="An unfinished run has no records yet: finish it with `bench run --resume latest`.",
        )
    return LoadedRecords(records, unreadable, folder.path)


def sample_access_of(loaded: Sequence[LoadedRecords]) -> "SampleAccess":
    """Return a reader of the raw samples of these records, which returns None for missing samples."""
    from harness.analysis.comparison import SampleAccess

    folders = {record.run: part.folder for part in loaded for record in part.records}
    return SampleAccess(samples=samples_in(folders), task=task_of_record)


def samples_in(folders: dict[str, Path]) -> "Callable[[Record], Samples | None]":
    """Return a function that reads the samples of a record, each file once; `folders` are by run."""
    from harness.common.errors import StoreError
    from harness.records.store import read_samples

    kept: dict[tuple[str, str], Samples | None] = {}

    def samples(record: "Record") -> "Samples | None":
        key = (record.run, record.cell.id)
        if key not in kept:
            try:
                kept[key] = read_samples(folders[record.run], record)
            except (StoreError, KeyError):  # KeyError: a record of another folder
                kept[key] = None  # the note of the change then states that it is unpaired
        return kept[key]

    return samples


def sealed_in(folder: Path) -> "Callable[[Record], bytes | None]":
    """Return a function that reads the bytes of a samples file; None if it is missing or was changed."""
    from harness.common.errors import StoreError
    from harness.records.store import sealed_payload

    def payload(record: "Record") -> bytes | None:
        try:
            return sealed_payload(folder, record)
        except StoreError:
            return None

    return payload


def task_of_record(record: "Record") -> "Task | None":
    """Return the task that a record was scored by; None if this version cannot build it."""
    from harness.common.errors import BenchError
    from harness.workload.tasks import resolve_task
    from harness.workload.tasks.custom import CUSTOM, recorded_definition

    try:
        if record.cell.task != CUSTOM:
            return resolve_task(record.cell.task)
        return resolve_task(recorded_definition(record.configuration["custom"]).words)
    except (BenchError, KeyError, TypeError):
        return None
