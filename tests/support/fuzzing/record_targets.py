"""Readers of what runs wrote: records, plans, journals, samples, pinned references, traces."""

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from null_traces import a_trace
from records import a_record, three_variants

from fuzzing.target import Target
from harness.analysis.gate.pinned_references import Pin, read_pins
from harness.records.journal_entries import (
    CompletedEntry,
    IdleEntry,
    JournalEntry,
    MemoryEntry,
    OpenedEntry,
    RoundEntry,
    VisitEntry,
    from_lines,
    to_line,
)
from harness.records.reading import Reading
from harness.records.record import SamplesFile
from harness.records.store import RunFolder, UnreadableFile, read_record, unpack_samples
from harness.studies.traces import load, save
from reports import render_records

_READING = Reading("package-0", "measured", "package", "powercap", 20_000, 10**9)
_VISIT = VisitEntry(
    requests=2,
    sequences=2,
    tokens=20,
    wall_ns=2000,
    cpu_ns=1900,
    call_ns=[1000, 1000],
    readings=[_READING],
    answers=["true", "false"],
    position=0,
)
_ENTRIES: list[JournalEntry] = [
    OpenedEntry(cell="a", launch=0, effective={"threads": 2}, loop_ns_per_request=200.0, warmup_requests=4),
    RoundEntry(group="g", index=0, slice=0, launch=0, indexes=[0, 1], visits={"a": _VISIT}),
    IdleEntry(cell="a", when="after", readings=[_READING]),
    CompletedEntry(cell="a", indexes=[2], answers=["true"], truncated=0),
    MemoryEntry(cell="a", peak_bytes=2**20, counted_as="PSS"),
]
_NPY = io.BytesIO()
np.save(_NPY, np.arange(6, dtype=np.int32).reshape(2, 3))


def record_targets() -> list[Target]:
    """Return the readers of what runs wrote."""
    journal = "".join(json.dumps(to_line(entry)) + "\n" for entry in _ENTRIES).encode()
    record = a_record(wall_ms=(500.0, 510.0)).model_dump_json(indent=1).encode()
    return [
        Target("records", [record], _record),
        Target("journals", [journal], _journal),
        Target("samples", [_samples()], lambda _folder, content: unpack_samples(content)),
        Target("arrays", [_NPY.getvalue()], _array),
        Target("pinned references", [_pin()], _pins),
        Target("traces", [_trace_bytes()], _trace),
    ]


def _record(folder: Path, content: bytes) -> None:
    """Read a record; one that can be read has a report, beside a sound one."""
    path = folder / "a.json"
    path.write_bytes(content)
    record = read_record(path)
    if isinstance(record, UnreadableFile):
        assert len(record.reason) < 4000, record.reason[:4000]
        return
    for name in ("text", "json"):
        render_records([record, three_variants()[1]], name)


def _journal(folder: Path, content: bytes) -> None:
    path = folder / "journal" / "rounds.jsonl"
    path.parent.mkdir()
    path.write_bytes(content)
    from_lines(RunFolder(folder).entries())


def _samples() -> bytes:
    out = io.BytesIO()
    answers = np.array(["true", "false"])
    numbers = {name: np.arange(2) for name in ("call_ns", "call_round", "timed_example", "timed_round")}
    np.savez_compressed(out, answer=answers, timed_answer=answers, counts=np.ones((3, 2)), **numbers)
    return out.getvalue()


def _array(_folder: Path, content: bytes) -> None:
    """Read an array whose archive is sound: a damaged one is refused by its checksum."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", content)
    unpack_samples(out.getvalue())


def _pin() -> bytes:
    payload = _samples()
    samples = SamplesFile(file="a.npz", sha256=hashlib.sha256(payload).hexdigest())
    record = a_record(wall_ms=(500.0, 510.0)).model_copy(update={"samples": samples})
    pin = Pin(
        run="r1",
        noise={"a": {"latency_p50": 1.5}},
        records=(record,),
        samples={record.cell.id: base64.b64encode(payload).decode()},
    )
    return pin.model_dump_json(indent=1).encode()


def _pins(folder: Path, content: bytes) -> None:
    path = folder / "pinned" / "r1.json"
    path.parent.mkdir()
    path.write_bytes(content)
    for pin in read_pins(folder):
        for record in pin.records:
            pin.arrays(record)


def _trace_bytes() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return save(a_trace(0.01, count=4), Path(folder)).read_bytes()


def _trace(folder: Path, content: bytes) -> None:
    path = folder / "a.json"
    path.write_bytes(content)
    load(path)
