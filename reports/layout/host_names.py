"""The names of machines in a report on several: a number, in order of appearance, and the processor."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from harness.records.record import Record
from reports.layout.escaping import printable
from reports.layout.table_model import Table

_MARKS = re.compile(r"\((R|TM)\)| Processor\b| @.*")


def host_names(records: Iterable[Record]) -> dict[str, str]:
    """Return the name of each host by its fingerprint, such as `host 2 (AMD EPYC)`; empty for one host."""
    hosts = {record.host.fingerprint: record.host for record in records}
    if len(hosts) < 2:  # noqa: PLR2004 -- nothing to tell it from
        return {}
    return {
        fingerprint: f"host {number}{_processor(host.facts.get('cpu_model'))}"
        for number, (fingerprint, host) in enumerate(hosts.items(), 1)
    }


def named(table: Table, record: Record | None, names: Mapping[str, str]) -> Table:
    """Return a table on one host with its name in the title, where a report has several."""
    name = names.get(record.host.fingerprint) if record else None
    return replace(table, title=f"{table.title}, {name}") if name else table


def _processor(model: object) -> str:
    """Return the processor's name in brackets, without marks and clock, which the facts of a table have."""
    name = printable(_MARKS.sub("", model)).strip() if isinstance(model, str) else ""
    return f" ({name})" if name else ""
