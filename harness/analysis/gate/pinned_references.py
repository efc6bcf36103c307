"""Pinned references: the records of a run that later runs are held against, and the noise they were taken in.

    ROOT/pinned/RUN.json     {"version": 1, "run", "noise": {cell: {quantity: percent}}, "records": [...],
                              "samples": {cell: base64 of the file of samples}}

A pin is a copy, so that it can be committed where the runs are not. Its environment and software are those of
its records. The newest pin that was taken in the environment of a run is the one that holds for it.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from harness.analysis.comparison import QUANTITIES, CellKey, QuantityChange, SampleAccess, contrast, key_of
from harness.analysis.comparison.quantities import Samples
from harness.analysis.gate.gate import GatedCell
from harness.common.errors import DataError, StoreError, UsageError
from harness.records.record import FrozenModel, Record
from harness.records.side import HEAD, side_of, without_side
from harness.records.store import unpack_samples


class Pin(FrozenModel):
    """The records of one run, and by cell and quantity how far the same thing differed from itself in it."""

    version: Literal[1] = 1
    run: str
    noise: dict[str, dict[str, float]]
    records: tuple[Record, ...]
    samples: dict[str, str] = Field(default_factory=dict)

    def arrays(self, record: Record) -> Samples | None:
        """Return the raw samples of one of its records, None where they are not there as they were sealed."""
        payload = base64.b64decode(self.samples.get(record.cell.id, ""))
        if record.samples is None or hashlib.sha256(payload).hexdigest() != record.samples.sha256:
            return None
        return unpack_samples(payload)


def make_pin(records: Sequence[Record], raw: SampleAccess, payload: Callable[[Record], bytes | None]) -> Pin:
    """Return the pin of a run; UsageError if a cell of it is not complete, so that it could hold nothing."""
    known = list(records)
    kept = [record for record in known if side_of(record.cell.variant) in ("", HEAD)]
    for record in kept:
        if record.status != "complete":
            raise UsageError(
                f"{record.cell.variant} is {record.status}: nothing can be held against it.",
                where=record.run,
                remedy="Pin a run whose every cell is complete.",
            )
    if not kept:
        raise UsageError("the run holds no record to pin.")
    first = {key_of(record): record for record in reversed(kept)}
    records = tuple(record for record in kept if first[key_of(record)] is record)
    files = {record.cell.id: payload(record) for record in records}
    samples = {name: base64.b64encode(file).decode() for name, file in files.items() if file}
    return Pin(run=kept[0].run, noise=noise_of(known, raw), records=records, samples=samples)


def noise_of(records: Sequence[Record], raw: SampleAccess) -> dict[str, dict[str, float]]:
    """Return how far cells of a run that are the same thing differ: base and base again, or a null test."""
    alike: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if side_of(record.cell.variant) != HEAD and record.status == "complete":
            alike.setdefault((record.cell.group, without_side(record.cell.variant)), []).append(record)
    noise: dict[str, dict[str, float]] = {}
    for twins in alike.values():
        if len(twins) > 1:
            found = (contrast(name, twins[0], twins[1], raw=raw) for name in QUANTITIES)
            noise[_words(key_of(twins[0]))] = {
                each.quantity.name: max(map(abs, each.worse))
                for each in found
                if isinstance(each, QuantityChange)
            }
    return noise


def write_pin(root: Path, pin: Pin) -> Path:
    """Write a pin that is not there yet; StoreError if it is, or cannot be written."""
    path = root / "pinned" / f"{pin.run}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(pin.model_dump_json(indent=1) + "\n")
    except FileExistsError:
        raise StoreError("this run is pinned already.", where=str(path), remedy="Remove it first.") from None
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(path)) from None
    return path


def read_pins(root: Path) -> list[Pin]:
    """Return every pin, the newest first; DataError for one that cannot be read."""
    paths = sorted((root / "pinned").glob("*.json"))
    return sorted(map(_read, paths), key=lambda pin: pin.records[0].created, reverse=True)


def pin_for(records: Sequence[Record], pins: Sequence[Pin]) -> Pin:
    """Return the pin that holds for a run: of its own environment if there is one, or else the newest."""
    keys = {key_of(record) for record in records}
    sharing = [pin for pin in pins if keys & {key_of(record) for record in pin.records}]
    if not sharing:
        raise UsageError(
            "no pinned reference has a cell of this run.",
            where=records[0].run if records else None,
            remedy="`bench gate --pin RUN` pins one, with the same task, variants, scenario and settings.",
        )
    hosts = {record.host.fingerprint for record in records}
    own = [pin for pin in sharing if pin.records[0].host.fingerprint in hosts]
    return (own or sharing)[0]


def pairings(records: Sequence[Record], pin: Pin) -> tuple[list[GatedCell], list[tuple[CellKey, str]]]:
    """Return each pinned record with the one that is held against it, and the cells that the run lacks."""
    measured = {key_of(record): record for record in records}
    found = [
        GatedCell(record, measured[key_of(record)], noise=_noise(pin.noise, record))
        for record in pin.records
        if key_of(record) in measured
    ]
    absent = [
        (key_of(record), f"the run lacks a cell that {pin.run} has")
        for record in pin.records
        if key_of(record) not in measured
    ]
    return found, absent


def _noise(noise: Mapping[str, Mapping[str, float]], record: Record) -> Mapping[str, float]:
    key = key_of(record)
    return noise.get(_words(key._replace(variant=without_side(key.variant))), {})


def _words(key: CellKey) -> str:
    return str(key._replace(variant=without_side(key.variant)))


def _read(path: Path) -> Pin:
    try:
        pin = Pin.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    except (ValidationError, ValueError) as problem:
        first = " ".join(str(problem).splitlines()[:3])
        remedy = "Restore it, or remove it and pin a run again."
        raise DataError(f"is no pinned reference: {first}", where=str(path), remedy=remedy) from None
    if not pin.records:
        raise DataError("pins no record.", where=str(path), remedy="Remove it.")
    return pin
