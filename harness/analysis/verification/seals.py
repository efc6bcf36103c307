"""Checks of hashes and names: each file has the hash of its seal, each name agrees with its content."""

from collections.abc import Iterator
from dataclasses import asdict, fields

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.records.cell import Cell, cell_ids
from harness.records.record import CellFacts, sealed_sha256

EARLIER_OWN = ("variant", "command")
"""Fields in which the cells of a group could differ before there were ladders."""

HASHED_SINCE = "an earlier version wrote the record, without a hash of itself"


def check_content(check: VerificationCheck, sealed: SealedRecord) -> None:
    """Compare the hash of a record's content with the one that it was sealed with."""
    recorded = sealed.record.content_sha256
    if recorded is None:
        check.skip(HASHED_SINCE)
    else:
        check.same(sealed.name, "content_sha256", recorded, sealed_sha256(sealed.words))


def check_samples(check: VerificationCheck, sealed: SealedRecord) -> None:
    """Compare the hash and the name of the samples file with those in the record."""
    samples = sealed.record.samples
    if samples is None:
        check.holds(sealed.name, "the record names no samples", so=False)
        return
    check.same(sealed.name, "samples.sha256", samples.sha256, sealed.samples_sha256)
    check.same(sealed.name, "samples.file", samples.file, f"{sealed.name}-{samples.sha256[:12]}.npz")
    if sealed.problem:
        check.holds(sealed.name, sealed.problem, so=False)


def check_names(check: VerificationCheck, sealed: SealedRecord, run: str) -> None:
    """Compare run, file and ids with the values that they are derived from."""
    record = sealed.record
    check.same(sealed.name, "file", sealed.file, f"{sealed.name}.json")
    check.same(sealed.name, "run", record.run, run)
    digits = "".join(character for character in record.created[:19] if character.isdigit())
    same_time = digits == "".join(record.run.split("-")[:2])
    problem = f"created: {record.created} is not the time in the name of the run"
    check.holds(sealed.name, problem, so=same_time)
    if _lacks_parts(sealed):
        check.skip("an earlier version wrote the record, without all parts of the definition of its cell")
        return
    ids = set(_ids(_cell(sealed)))
    has_id = sealed.name in {name for name, _ in ids}
    check.holds(sealed.name, "id: it is not the hash of the cell's definition", so=has_id)
    has_group = record.cell.group in {group for _, group in ids}
    check.holds(sealed.name, "group: it is not the hash of what the cells of the group share", so=has_group)


def _lacks_parts(sealed: SealedRecord) -> bool:
    """Return whether the definition of the cell has parts that the record does not hold."""
    options = sealed.record.configuration
    special = "ladder" in options or "custom" in options or sealed.record.cell.variant == "command"
    return special and "rung" not in sealed.words.get("cell", {})


def _cell(sealed: SealedRecord) -> Cell:
    record = sealed.record
    settings = {
        name: getattr(record.cell, name) for name in CellFacts.model_fields if name not in ("id", "group")
    }
    return Cell(**settings, data=record.data.fingerprint, model=record.model.fingerprint)


def _ids(cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield id and group as this version derives them, then as earlier versions with fewer settings did.

    Settings were added at the end; a cell of an earlier version has the later settings at their default.
    """
    yield cell.id, cell.group
    settings = asdict(cell)
    for setting in reversed(fields(Cell)):
        if settings[setting.name] != setting.default:
            return
        del settings[setting.name]
        yield cell_ids(cell, settings)
        yield cell_ids(cell, settings, EARLIER_OWN)
