"""Labels that tell the groups of a report apart: what they differ in, and nothing else."""

from collections.abc import Callable, Sequence

from harness.records.record import Record
from reports.layout.escaping import printable
from reports.layout.host_names import host_names

_SETTINGS: tuple[tuple[str, Callable[[Record], object]], ...] = (
    ("{}", lambda record: record.cell.task),
    ("{}", lambda record: record.model.name),
    ("on {}", lambda record: record.cell.device),
    ("{}", lambda record: record.cell.scenario),
    ("{:g} requests/s", lambda record: record.cell.rate),
    ("boundary {}", lambda record: record.cell.boundary),
    ("{}", lambda record: _count(record.cell.threads * record.cell.instances, "thread")),
    ("{}", lambda record: _count(record.cell.instances, "instance")),
    ("batch {}", lambda record: record.cell.batch),
    ("at most {} tokens", lambda record: record.cell.max_length),
)
"""What groups of a report may differ in, in the order in which a label names it."""


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def group_labels(records: Sequence[Record]) -> list[str]:
    """Return what distinguishes each group from the others of the report; nothing for a single group."""
    if len(records) < 2:  # noqa: PLR2004 -- nothing to distinguish it from
        return [""] * len(records)
    used: list[tuple[str, Callable[[Record], object]]] = []
    distinct, names = 1, host_names(records)
    last: tuple[tuple[str, Callable[[Record], object]], ...] = (
        ("{}", lambda record: names.get(record.host.fingerprint, "")),
        ("run {}", lambda record: record.run),
    )
    for form, read in (*_SETTINGS, *last):
        count = len({tuple(str(own(record)) for _, own in (*used, (form, read))) for record in records})
        if count > distinct:
            distinct = count
            used.append((form, read))
    return [printable(", ".join(form.format(read(record)) for form, read in used)) for record in records]
