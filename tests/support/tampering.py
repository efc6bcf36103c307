"""Changes of a sealed run as an attacker would make them: figures first, then every hash that covers them.

folder --read_run--> records --change, resealed--> records whose hashes all agree
"""

import copy
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.verification import SealedRecord, VerificationCheck, verify_run
from harness.analysis.verification.reading import read_sealed
from harness.records.record import Record, sealed_sha256
from harness.records.store import RunFolder

Payload = dict[str, Any]
Arrays = dict[str, np.ndarray[Any, Any]]
Change = Callable[[Payload, Arrays], None]
"""Changes the JSON object of a record and its samples in place."""


@dataclass(frozen=True)
class Attack:
    """One change to the first record of a run, or to all; `caught` is the group that finds it, or None."""

    name: str
    change: Change
    caught: str | None
    everywhere: bool = False


def read_run(folder: Path) -> list[SealedRecord]:
    """Return the records of a run with their samples."""
    sealed, unreadable = read_sealed(RunFolder(folder))
    assert not unreadable
    return sealed


def attacked(sealed: Sequence[SealedRecord], attack: Attack) -> list[SealedRecord]:
    """Return the records of a run after an attack, with all hashes made anew."""
    return [
        resealed(record, attack.change) if attack.everywhere or number == 0 else record
        for number, record in enumerate(sealed)
    ]


def resealed(sealed: SealedRecord, change: Change) -> SealedRecord:
    """Return a changed record with the hashes and names that belong to its changed content."""
    payload: Payload = copy.deepcopy(dict(sealed.words))
    arrays: Arrays = {name: np.array(values) for name, values in (sealed.arrays or {}).items()}
    change(payload, arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    payload["samples"] = {"file": f"{payload['cell']['id']}-{digest[:12]}.npz", "sha256": digest}
    if sealed.record.content_sha256 is not None:
        payload["content_sha256"] = sealed_sha256(payload)
    record = Record.model_validate_json(json.dumps(payload))
    return replace(sealed, words=payload, record=record, arrays=arrays, samples_sha256=digest)


def problems(checks: Sequence[VerificationCheck]) -> dict[str, list[str]]:
    """Return what is wrong, by the group of checks that found it."""
    return {check.name: check.wrong for check in checks if check.wrong}


def found_by(sealed: Sequence[SealedRecord], attack: Attack) -> dict[str, list[str]]:
    """Return what verification finds wrong after an attack, without the data."""
    run = sealed[0].record.run
    return problems(verify_run(run, attacked(sealed, attack), lambda _sealed: "the data are not named"))
