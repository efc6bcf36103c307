"""Checks that the files of a run are those that were sealed: their hashes, names and signature.

`bench verify` computes every figure again too. This reads each file once, so that thousands of runs can be
merged.
"""

import hashlib
import json
from pathlib import Path

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.seals import check_content, check_names, check_samples
from harness.analysis.verification.signature import check_signature
from harness.common.errors import StoreError
from harness.common.inputs.files import RECORD, SAMPLES, read_input
from harness.records.record import Record
from harness.records.store import RunFolder, UnreadableFile, read_record
from harness.records.store.merge import SealCheck


def check_sealed_files(folder: RunFolder) -> SealCheck:
    """Compare the files of a run with their hashes, their names, and the signature if there is one."""
    check = VerificationCheck("seals", "files and names are those that were sealed")
    paths = sorted(folder.path.glob("*.json"))
    if not paths:
        check.wrong.append("the run holds no records")
    for path in paths:
        record = read_record(path)
        if isinstance(record, UnreadableFile):
            check.wrong.append(f"{path.name}: {record.reason}")
            continue
        sealed = _sealed(path, record)
        check_content(check, sealed)
        check_samples(check, sealed)
        check_names(check, sealed, folder.name)
    signature = check_signature(folder.path, None)
    if signature.state == "wrong":
        check.wrong.append(signature.text)
    elif signature.state == "unchecked":
        check.skip(signature.text)
    return SealCheck(tuple(check.wrong), tuple(check.unchecked))


def _sealed(path: Path, record: Record) -> SealedRecord:
    payload = json.loads(read_input(path, RECORD, StoreError))
    digest = problem = None
    if record.samples is not None:
        samples = path.parent / Path(record.samples.file).name
        try:
            digest = hashlib.sha256(read_input(samples, SAMPLES, StoreError)).hexdigest()
        except StoreError as error:
            problem = str(error)
    return SealedRecord(path.name, payload, record, None, digest, problem)
