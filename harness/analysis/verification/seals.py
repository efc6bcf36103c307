"""Hashes and names: each file is the one that was sealed, and each name says what it names."""

from collections.abc import Iterator
from dataclasses import asdict, fields

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.records.cell import Cell, cell_ids
from harness.records.record import CellFacts, sealed_sha256

EARLIER_OWN = ("variant", "command")
"""What the cells of a group could differ in before there were ladders."""

HASHED_SINCE = "an earlier version wrote the record, which did not put a hash of itself into it"


def check_content(check: VerificationCheck, one: SealedRecord) -> None:
    """Compare the hash of all that a record says with the one it was sealed with."""
    said = one.record.content_sha256
    if said is None:
        check.skip(HASHED_SINCE)
    else:
        check.same(one.name, "content_sha256", said, sealed_sha256(one.words))


def check_samples(check: VerificationCheck, one: SealedRecord) -> None:
    """Compare the hash and the name of the samples with what the record says of them."""
    samples = one.record.samples
    if samples is None:
        check.holds(one.name, "the record names no samples", so=False)
        return
    check.same(one.name, "samples.sha256", samples.sha256, one.samples_sha256)
    check.same(one.name, "samples.file", samples.file, f"{one.name}-{samples.sha256[:12]}.npz")
    if one.problem:
        check.holds(one.name, one.problem, so=False)


def check_names(check: VerificationCheck, one: SealedRecord, run: str) -> None:
    """Compare run, file and ids with what they are made of."""
    record = one.record
    check.same(one.name, "file", one.file, f"{one.name}.json")
    check.same(one.name, "run", record.run, run)
    stamp = "".join(character for character in record.created[:19] if character.isdigit())
    check.holds(
        one.name,
        f"created: {record.created} is not the time in the run's name",
        so=stamp == "".join(record.run.split("-")[:2]),
    )
    if _lacks_parts(one):
        check.skip("an earlier version wrote the record, which did not put all that makes the cell into it")
        return
    ids = set(_ids(_cell(one)))
    check.holds(one.name, "id: it is not the hash of what makes the cell", so=one.name in {i for i, _ in ids})
    check.holds(
        one.name,
        "group: it is not the hash of what the group's cells share",
        so=record.cell.group in {group for _, group in ids},
    )


def _lacks_parts(one: SealedRecord) -> bool:
    """Say whether something made the cell that the record does not hold."""
    configured = one.record.configuration
    special = "ladder" in configured or "custom" in configured or one.record.cell.variant == "command"
    return special and "rung" not in one.words.get("cell", {})


def _cell(one: SealedRecord) -> Cell:
    record = one.record
    known = {
        name: getattr(record.cell, name) for name in CellFacts.model_fields if name not in ("id", "group")
    }
    return Cell(**known, data=record.data.fingerprint, model=record.model.fingerprint)


def _ids(cell: Cell) -> Iterator[tuple[str, str]]:
    """Return id and group as this version makes them, then as earlier ones did, which knew fewer settings.

    Settings were added at the end; a cell of an earlier version has the later ones at their default.
    """
    yield cell.id, cell.group
    known = asdict(cell)
    for one in reversed(fields(Cell)):
        if known[one.name] != one.default:
            return
        del known[one.name]
        yield cell_ids(cell, known)
        yield cell_ids(cell, known, EARLIER_OWN)
