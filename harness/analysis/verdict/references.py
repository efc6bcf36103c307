"""Which records of a group the others are compared with: PyTorch without padding, with padding, compiled."""

from collections.abc import Sequence

from harness.analysis.statistics.ratios import BASELINE, COMPILED, UNPADDED
from harness.analysis.verdict.model import Reference, ReferenceKind
from harness.records.record import Record

_KINDS: dict[str, ReferenceKind] = {UNPADDED: "unpadded", BASELINE: "padded", COMPILED: "compiled"}


def references_of(records: Sequence[Record]) -> tuple[Reference, ...]:
    """Return the references that were measured: PyTorch unpadded, padded, compiled; or of a ladder.

    A ladder has its first rung in place of the padded one. Its other rungs count as PyTorch without padding,
    or compiled, if they are made from the same checkpoint as the first, by no recipe but that. Outside
    ladders compiled PyTorch alone is no reference.
    """
    measured = {record.cell.variant: record for record in records if record.status != "failed"}
    first = measured.get(_first_rung(records[0]) or "")
    if first is not None:
        return _of_ladder(first, tuple(measured.values()))
    named = tuple(Reference(measured[name], kind) for name, kind in _KINDS.items() if name in measured)
    return () if [reference.kind for reference in named] == ["compiled"] else named


def _of_ladder(first: Record, measured: Sequence[Record]) -> tuple[Reference, ...]:
    unpadded, compiled = (_beside(first, measured, recipe) for recipe in (UNPADDED, COMPILED))
    return (*unpadded, Reference(first, _KINDS.get(_recipe(first), "first rung")), *compiled)


def _beside(first: Record, measured: Sequence[Record], recipe: str) -> tuple[Reference, ...]:
    """Return the first record that was made by a recipe from the first rung's checkpoint, if that is not."""
    if _recipe(first) == recipe or not _parents(first):
        return ()
    same = [each for each in measured if _recipe(each) == recipe and _parents(each) == _parents(first)]
    return tuple(Reference(record, _KINDS[recipe]) for record in same[:1])


def _first_rung(record: Record) -> str | None:
    ladder = record.configuration.get("ladder") or {}
    return next((str(rung["name"]) for rung in ladder.get("rungs", ())), None)


def _recipe(record: Record) -> str:
    return str(record.artifact.manifest.get("recipe", "")) if record.artifact else ""


def _parents(record: Record) -> tuple[str, ...]:
    parents = record.artifact.manifest.get("parents") if record.artifact else None
    return tuple(map(str, parents)) if isinstance(parents, list | tuple) else ()
