"""Sealed runs of literal records, whose names and hashes are those that `bench` gives."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from records import a_record

from harness.records.cell import Cell
from harness.records.record import Record
from harness.records.store import RunFolder

RUN = "20260102-030405-boolq-0001"
"""The name of a run that began when literal records were created."""

TIMES_MS = {"pytorch-fixed": 2000.0, "pytorch-dynamic": 1000.0, "onnx-int8": 400.0}
"""A round of 100 requests: 20, 10 and 4 ms each, so 50, 100 and 250 a second; 0.4, 0.2 and 0.08 J at 20 W."""


def named_record(variant: str, wall_ms: float, *, run: str = RUN, **changes: Any) -> Record:
    """Return a record of equal rounds, whose cell has the id and the group of its definition."""
    settings: dict[str, Any] = {
        "task": "boolq",
        "variant": variant,
        "device": "cpu",
        "scenario": "single-stream",
        "threads": 2,
        "max_length": 256,
    } | changes.pop("cell", {})
    cell = Cell(**settings, data="a" * 64, model="b" * 64)
    return a_record(variant, (wall_ms,) * 7, run=run, cell=cell.facts().model_dump(), **changes)


def sealed_run(root: Path, records: Sequence[Record] = (), *, run: str = RUN) -> RunFolder:
    """Seal records below a store's root, by default one of each of three variants, with small samples."""
    folder = RunFolder(root / "runs" / run)
    folder.path.mkdir(parents=True)
    for record in records or list(three_records(run)):
        folder.seal(record, {"call_ns": np.array([1, 2, 3], dtype=np.int64)})
    return folder


def three_records(run: str = RUN, **changes: Any) -> Iterator[Record]:
    """Yield a record of each variant of `TIMES_MS`."""
    for variant, wall_ms in TIMES_MS.items():
        yield named_record(variant, wall_ms, run=run, **changes)
