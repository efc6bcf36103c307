"""Which records of a group the others are compared with: PyTorch without padding first, then with padding."""

from collections.abc import Sequence

from harness.analysis.statistics.ratios import BASELINE, UNPADDED
from harness.analysis.verdict.model import Reference
from harness.records.record import Record


def references_of(records: Sequence[Record]) -> tuple[Reference, ...]:
    """Return the references that were measured: unpadded before padded; of a ladder, its first rung too.

    A rung counts as PyTorch without padding if it is made from the same checkpoint as the first rung, by no
    recipe but that.
    """
    measured = {record.cell.variant: record for record in records if record.status != "failed"}
    first = measured.get(_first_rung(records[0]) or "")
    if first is None:
        named = (("unpadded", UNPADDED), ("padded", BASELINE))
        return tuple(Reference(measured[name], kind) for kind, name in named if name in measured)  # type: ignore[arg-type]
    unpadded = next((record for record in measured.values() if _is_unpadded(record, first)), None)
    own_kind = {UNPADDED: "unpadded", BASELINE: "padded"}.get(_recipe(first), "first rung")
    own = Reference(first, own_kind)  # type: ignore[arg-type]
    return (own,) if unpadded is None or unpadded is first else (Reference(unpadded, "unpadded"), own)


def _first_rung(record: Record) -> str | None:
    ladder = record.configuration.get("ladder") or {}
    return next((str(rung["name"]) for rung in ladder.get("rungs", ())), None)


def _is_unpadded(record: Record, first: Record) -> bool:
    return _recipe(record) == UNPADDED and _parents(record) == _parents(first) != ()


def _recipe(record: Record) -> str:
    return str(record.artifact.manifest.get("recipe", "")) if record.artifact else ""


def _parents(record: Record) -> tuple[str, ...]:
    parents = record.artifact.manifest.get("parents") if record.artifact else None
    return tuple(map(str, parents)) if isinstance(parents, list | tuple) else ()
