"""Pinned references: the records of a run that later runs are compared with, and the noise of that run.

    ROOT/pinned/RUN.json     {"version": 1, "run", "noise": {cell: {quantity: percent}}, "records": [...],
                              "samples": {cell: base64 of the samples file}}

A pin is a copy, so that it can be committed without the run. Its environment and software are those of its
records. A run is compared with the newest pin of its own environment.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from harness.analysis.comparison import (
    QUANTITIES,
    CellKey,
    QuantityChange,
    SampleAccess,
    key_of,
    quantity_change,
)
from harness.analysis.comparison.quantities import Samples
from harness.analysis.gate.gate import GatedCell
from harness.common.errors import DataError, StoreError, UsageError
from harness.common.inputs.files import PIN, read_input
from harness.common.model import first_problem
from harness.records.record import FrozenModel, Record
from harness.records.side import HEAD, side_of, without_side
from harness.records.store import UNREADABLE, unpack_samples


class Pin(FrozenModel):
    """The records of one run, and the noise in it: how far a cell differed from itself, by quantity."""

    version: Literal[1] = 1
    run: str
    noise: dict[str, dict[str, float]]
    records: tuple[Record, ...]
    samples: dict[str, str] = Field(default_factory=dict)

    def arrays(self, record: Record) -> Samples | None:
        """Return the raw samples of one of its records; None if they are missing or were changed."""
        try:
            payload = base64.b64decode(self.samples.get(record.cell.id, ""))
            if record.samples is None or hashlib.sha256(payload).hexdigest() != record.samples.sha256:
                return None
            return unpack_samples(payload)
        except (ValueError, StoreError):
            return None


def make_pin(records: Sequence[Record], raw: SampleAccess, payload: Callable[[Record], bytes | None]) -> Pin:
    """Return the pin of a run; UsageError if one of its cells is not complete."""
    candidates = [record for record in records if side_of(record.cell.variant) in ("", HEAD)]
    for record in candidates:
        if record.status != "complete":
            raise UsageError(
                f"{record.cell.variant} is {record.status}: nothing can be compared with it.",
                where=record.run,
                remedy="Pin a run in which every cell is complete.",
            )
    if not candidates:
        raise UsageError("the run holds no record to pin.")
    first = {key_of(record): record for record in reversed(candidates)}
    pinned = tuple(record for record in candidates if first[key_of(record)] is record)
    files = {record.cell.id: payload(record) for record in pinned}
    samples = {name: base64.b64encode(file).decode() for name, file in files.items() if file}
    return Pin(run=candidates[0].run, noise=noise_of(records, raw), records=pinned, samples=samples)


def noise_of(records: Sequence[Record], raw: SampleAccess) -> dict[str, dict[str, float]]:
    """Return how far cells of a run differ from themselves: base and base again, or null-test twins."""
    same_cell: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if side_of(record.cell.variant) != HEAD and record.status == "complete":
            same_cell.setdefault((record.cell.group, without_side(record.cell.variant)), []).append(record)
    noise: dict[str, dict[str, float]] = {}
    for twins in same_cell.values():
        if len(twins) > 1:
            changes = (quantity_change(name, twins[0], twins[1], raw=raw) for name in QUANTITIES)
            noise[_noise_key(twins[0])] = {
                change.quantity.name: max(map(abs, change.worse))
                for change in changes
                if isinstance(change, QuantityChange)
            }
    return noise


def write_pin(root: Path, pin: Pin) -> Path:
    """Write a new pin; StoreError if the run is pinned already, or the file cannot be written."""
    path = root / "pinned" / f"{pin.run}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(pin.model_dump_json(indent=1) + "\n")
    except FileExistsError:
        raise StoreError("this run is pinned already.", where=str(path), remedy="Remove it first.") from None
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}.", where=str(path)) from None
    return path


def read_pins(root: Path) -> list[Pin]:
    """Return every pin, the newest first; DataError for one that cannot be read."""
    paths = sorted((root / "pinned").glob("*.json"))
    return sorted(map(_read, paths), key=lambda pin: pin.records[0].created, reverse=True)


def pin_for(records: Sequence[Record], pins: Sequence[Pin]) -> Pin:
    """Return the pin that a run is compared with: the newest of its own environment, or else the newest."""
    keys = {key_of(record) for record in records}
    with_shared_cells = [pin for pin in pins if keys & {key_of(record) for record in pin.records}]
    if not with_shared_cells:
        raise UsageError(
            "no pinned reference has a cell of this run.",
            where=records[0].run if records else None,
            remedy="Pin a run with the same task, variants, scenario and settings: `bench gate --pin RUN`.",
        )
    hosts = {record.host.fingerprint for record in records}
    same_host = [pin for pin in with_shared_cells if pin.records[0].host.fingerprint in hosts]
    return (same_host or with_shared_cells)[0]


def pairings(records: Sequence[Record], pin: Pin) -> tuple[list[GatedCell], list[tuple[CellKey, str]]]:
    """Return each pinned record with the record compared with it, and the cells that the run lacks."""
    measured = {key_of(record): record for record in records}
    present = [
        GatedCell(record, measured[key_of(record)], noise=pin.noise.get(_noise_key(record), {}))
        for record in pin.records
        if key_of(record) in measured
    ]
    absent = [
        (key_of(record), f"the run lacks a cell that {pin.run} has")
        for record in pin.records
        if key_of(record) not in measured
    ]
    return present, absent


def _noise_key(record: Record) -> str:
    """Return the key of a record's cell in `Pin.noise`."""
    key = key_of(record)
    return str(key._replace(variant=without_side(key.variant)))


def _read(path: Path) -> Pin:
    content = read_input(path, PIN, DataError)
    try:
        pin = Pin.model_validate_json(content)
    except UNREADABLE as error:
        if isinstance(error, ValidationError):
            problem = first_problem(error)
        else:
            problem = str(error) or type(error).__name__
        remedy = "Restore the file, or remove it and pin a run again."
        raise DataError(f"not a pinned reference: {problem}.", where=str(path), remedy=remedy) from None
    if not pin.records:
        raise DataError("the pinned reference holds no record.", where=str(path), remedy="Remove the file.")
    return pin
