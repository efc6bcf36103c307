"""Reads the records of one run with their samples; broken files become results instead of exceptions."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.verification.base import SealedRecord
from harness.common.errors import StoreError
from harness.common.inputs.files import SAMPLES, read_input
from harness.records.store import RunFolder, UnreadableFile, read_record, read_samples

if TYPE_CHECKING:
    from harness.records.record import Record


def read_sealed(folder: RunFolder) -> tuple[list[SealedRecord], list[UnreadableFile]]:
    """Return the sealed records of a run, and the files that cannot be read as records."""
    sealed: list[SealedRecord] = []
    unreadable: list[UnreadableFile] = []
    for path in sorted(folder.path.glob("*.json")):
        record = read_record(path)
        if isinstance(record, UnreadableFile):
            unreadable.append(record)
        else:
            sealed.append(_sealed(path, record))
    return sealed, unreadable


def _sealed(path: Path, record: "Record") -> SealedRecord:
    payload = json.loads(path.read_text(encoding="utf-8"))
    digest, problem, arrays = None, None, None
    try:
        if record.samples is not None:
            samples = read_input(path.parent / Path(record.samples.file).name, SAMPLES, StoreError)
            digest = hashlib.sha256(samples).hexdigest()
        arrays = read_samples(path.parent, record)
    except StoreError as error:
        problem = str(error)
    return SealedRecord(path.name, payload, record, arrays, digest, problem)
