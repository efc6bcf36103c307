"""Makes the stores of many hosts, to try merging, queries and reports on them.

    python -m devtools.many_hosts results/runs/RUN 200 50 DIR
    bench store merge DIR/host-* --store DIR/all

Each host has one run of so many cells, sealed, with small samples. A cell has the rounds of a record of RUN;
its times are changed at random by about a percent, so that no result of one cell can be reused for another.
The variants of RUN are measured at 128, 129, 130, ... tokens, until there are enough cells.
"""

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.records.cell import Cell
from harness.records.record import CellFacts, Host, Record
from harness.records.store import RunFolder, Store

SHORTEST = 128
CREATED = "2026-01-02T03:04:05+00:00"


def many_hosts(run: Path, hosts: int, cells: int, root: Path) -> None:
    """Write a store for each host below `root`."""
    records, _ = Store(run.parents[1]).records([RunFolder(run)])
    generator = random.Random(0)
    for number in range(hosts):
        name = f"20260102-030405-{records[0].cell.task}-{number:04x}"
        folder = RunFolder(root / f"host-{number:04d}" / "runs" / name)
        folder.path.mkdir(parents=True)
        for record in _records(records, cells, number, generator):
            calls = np.array([visit.wall_ns for visit in record.rounds], dtype=np.int64)
            folder.seal(record.model_copy(update={"run": name, "created": CREATED}), {"call_ns": calls})


def _records(templates: list[Record], count: int, number: int, generator: random.Random) -> Iterator[Record]:
    """Yield the records of one host."""
    host = _host(templates[0].host, number)
    for index in range(count):
        template = templates[index % len(templates)]
        cell = replace(_cell(template), max_length=SHORTEST + index // len(templates))
        rounds = tuple(
            replace(visit, wall_ns=round(visit.wall_ns * generator.gauss(1, 0.01)))
            for visit in template.rounds
        )
        yield template.model_copy(update={"cell": cell.facts(), "host": host, "rounds": rounds})


def _cell(record: Record) -> Cell:
    names = [name for name in CellFacts.model_fields if name not in ("id", "group")]
    settings = {name: getattr(record.cell, name) for name in names}
    return Cell(**settings, data=record.data.fingerprint, model=record.model.fingerprint)


def _host(host: Host, number: int) -> Host:
    facts = {**host.facts, "microcode": f"synthetic {number}"}
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return host.model_copy(update={"facts": facts, "fingerprint": fingerprint})


if __name__ == "__main__":
    many_hosts(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
