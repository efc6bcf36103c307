"""Labels that tell the groups of a report apart: what they differ in, and nothing else."""

from collections.abc import Callable, Sequence

from harness.records.record import Record
from reports.layout.escaping import printable

_SETTINGS: tuple[tuple[str, Callable[[Record], object]], ...] = (
    ("{}", lambda record: record.cell.task),
    ("{}", lambda record: record.model.name),
    ("on {}", lambda record: record.cell.device),
    ("{}", lambda record: record.cell.scenario),
    ("{:g} requests/s", lambda record: record.cell.rate),
    ("boundary {}", lambda record: record.cell.boundary),
    ("{} threads", lambda record: record.cell.threads * record.cell.instances),
    ("{} instances", lambda record: record.cell.instances),
    ("batch {}", lambda record: record.cell.batch),
    ("at most {} tokens", lambda record: record.cell.max_length),
    ("run {}", lambda record: record.run),
)
"""What groups of a report may differ in, in the order in which a label names it."""


def group_labels(records: Sequence[Record]) -> list[str]:
    """Return what distinguishes each group from the others of the report; nothing for a single group."""
    if len(records) < 2:  # noqa: PLR2004
        return [""] * len(records)
    varying = [(form, read) for form, read in _SETTINGS if len({str(read(record)) for record in records}) > 1]
    if len({tuple(str(read(item)) for _, read in varying[:-1]) for item in records}) == len(records):
        varying = [pair for pair in varying if pair[0] != "run {}"]
    return [printable(", ".join(form.format(read(record)) for form, read in varying)) for record in records]
