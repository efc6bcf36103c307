"""The records that a user names: a run, `latest`, a folder, or one file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.analysis.comparison import SampleAccess
    from harness.records.record import Record
    from harness.records.store import Store, UnreadableFile
    from harness.workload.tasks.base import Task


@dataclass(frozen=True, slots=True)
class LoadedRecords:
    """The records of one name, what could not be read beside them, and where their samples lie."""

    records: "list[Record]"
    unreadable: "list[UnreadableFile]"
    folder: Path


def find_records(name: str, store: "Store") -> LoadedRecords:
    """Return the records that a name means; MeasurementError where there are none to read."""
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
            "it holds no record that can be read.",
            where=name,
            remedy="An unfinished run has none yet: `bench run --resume latest` finishes it.",
        )
    return LoadedRecords(records, unreadable, folder.path)


def sample_access_of(found: Sequence[LoadedRecords]) -> "SampleAccess":
    """Return how raw samples of these records are read; None for samples that are not there."""
    from harness.analysis.comparison import SampleAccess

    folders = {record.run: each.folder for each in found for record in each.records}
    return SampleAccess(samples=samples_in(folders), task=task_of_record)


def samples_in(folders: dict[str, Path]) -> "Callable[[Record], dict[str, Any] | None]":
    """Return what reads a record's samples, each file once."""
    from harness.common.errors import StoreError
    from harness.records.store import read_samples

    kept: dict[tuple[str, str], dict[str, Any] | None] = {}

    def samples(record: "Record") -> dict[str, Any] | None:
        key = (record.run, record.cell.id)
        if key not in kept:
            try:
                kept[key] = read_samples(folders[record.run], record)
            except (StoreError, KeyError):
                kept[key] = None  # the change then says that it is unpaired
        return kept[key]

    return samples


def sealed_in(folder: Path) -> "Callable[[Record], bytes | None]":
    """Return what reads the file of a record's samples; None where it is not there as it was sealed."""
    from harness.common.errors import StoreError
    from harness.records.store import sealed_payload

    def payload(record: "Record") -> bytes | None:
        try:
            return sealed_payload(folder, record)
        except StoreError:
            return None

    return payload


def task_of_record(record: "Record") -> "Task | None":
    """Return the task that a record was scored by, None for one that this program does not know."""
    from harness.common.errors import UsageError
    from harness.workload.tasks import get_task
    from harness.workload.tasks.custom import CUSTOM, custom_task, parse_definition

    words = record.configuration.get("custom")
    if record.cell.task != CUSTOM:
        try:
            return get_task(record.cell.task)
        except UsageError:
            return None
    return (
        custom_task(parse_definition({each: words[each] for each in ("labels", "metric")})) if words else None
    )
