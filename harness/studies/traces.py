"""Traces of null tests: the time of each window of a variant that was compared with itself.

    two records of one variant --trace_of--> Trace --save--> results/traces/RUN.json --load--> Trace

A trace holds numbers only. Disturbances of real machines are hard to simulate, so the error rates of verdicts
are measured by replaying traces (`harness.studies.null_test`), not with simulated noise.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.common.errors import DataError
from harness.common.inputs.files import TRACE, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.json_types import JsonObject
from harness.records.record import Record, Round

FORMAT = 2
"""Version of the file format; version 1 had no times of requests."""

DIGITS = 4
"""Significant digits of the microseconds of a request: noise is in the third digit."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One null test; `requests` and the fields after it hold a value for each round, in order of time.

    `wall_ns` are the windows of the two cells, (first, second); `leads` is 0 if the first cell went first;
    `asked_us` are the microseconds of each request in either window, in the same order.
    """

    run: str
    created: str
    condition: str
    variant: str
    task: str
    model: str
    scenario: str
    threads: int
    processor: str
    requests: tuple[int, ...]
    launch: tuple[int, ...]
    slice: tuple[int, ...]
    leads: tuple[int, ...]
    wall_ns: tuple[tuple[int, int], ...]
    asked_us: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]


def trace_of(first: Record, second: Record) -> Trace:
    """Return the trace of a null test; ValueError unless both records are of one variant in one group."""
    if first.cell.group != second.cell.group or first.cell.variant != second.cell.variant:
        raise ValueError("a trace needs two records of one variant in one group")
    others = {(item.launch, item.index): item for item in second.rounds}
    pairs = [
        (item, others[item.launch, item.index])
        for item in first.rounds
        if (item.launch, item.index) in others
    ]
    return Trace(
        run=first.run,
        created=first.created,
        condition=str(first.configuration.get("condition", "")),
        variant=first.cell.variant,
        task=first.cell.task,
        model=first.model.name,
        scenario=first.cell.scenario,
        threads=first.cell.threads,
        processor=str(first.host.facts.get("cpu_model", first.host.facts.get("model", ""))),
        **_columns(pairs),
    )


def _columns(pairs: Sequence[tuple[Round, Round]]) -> JsonObject:
    return {
        "requests": tuple(first.requests for first, _ in pairs),
        "launch": tuple(first.launch for first, _ in pairs),
        "slice": tuple(first.slice for first, _ in pairs),
        "leads": tuple(int(first.position > second.position) for first, second in pairs),
        "wall_ns": tuple((first.wall_ns, second.wall_ns) for first, second in pairs),
        "asked_us": tuple((_microseconds(first), _microseconds(second)) for first, second in pairs),
    }


def _microseconds(item: Round) -> tuple[float, ...]:
    rounded = (float(f"{ns / 1000:.{DIGITS}g}") for ns in item.asked_ns)
    return tuple(int(value) if value.is_integer() else value for value in rounded)


def save(trace: Trace, folder: Path) -> Path:
    """Write a trace as RUN.json into a folder, which is created if it is missing; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trace.run}.json"
    values = {name: json.dumps(value, separators=(",", ":")) for name, value in asdict(trace).items()}
    lines = [f" {json.dumps(name)}: {value}" for name, value in values.items()]
    text = ",\n".join([f' "format": {FORMAT}', *lines])
    path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
    return path


def load(path: Path) -> Trace:
    """Read a trace; DataError if the file does not hold one."""
    try:
        fields = parse_json_object(read_input(path, TRACE, DataError))
        if (version := fields.pop("format")) != FORMAT:
            raise DataError(f"expected a trace of format {FORMAT}, got {version!r}.", where=str(path))
        fields["wall_ns"] = [tuple(pair) for pair in fields["wall_ns"]]
        fields["asked_us"] = [(tuple(first), tuple(second)) for first, second in fields["asked_us"]]
        columns = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return Trace(**{**fields, **columns})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"not a trace: {error}.", where=str(path)) from None


def load_all(folder: Path) -> list[Trace]:
    """Read every trace in a folder; DataError if it has none."""
    traces = [load(path) for path in sorted(folder.glob("*.json"))]
    if not traces:
        remedy = "Record one with `bench run --null-test VARIANT`."
        raise DataError("the folder has no traces.", where=str(folder), remedy=remedy)
    return traces
