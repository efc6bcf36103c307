"""Traces: the time of each window of cells that were measured side by side, most of them null tests.

    records of one variant --trace_of--> Trace --save--> results/traces/RUN.json --load--> Trace

A trace holds numbers only. Disturbances of real machines are hard to simulate, so the error rates of verdicts
are measured by replaying traces (`harness.studies.null_test`), not with simulated noise.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from harness.common.errors import DataError
from harness.common.inputs.files import TRACE, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.json_types import JsonObject
from harness.records.record import Record, Round

FORMAT = 3
"""Version of the file format. Version 2 held two cells and which of them went first."""

WITHOUT_COPIES = 2

DIGITS = 4
"""Significant digits of the microseconds of a request: noise is in the third digit."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A run of one group; `requests` and the fields after it hold a value for each round, in order of time.

    `wall_ns` are the windows of the cells, `requests` how many each held, and `asked_us` the microseconds of
    each request in each window, all in the order of the cells.
    """

    run: str
    created: str
    condition: str
    variants: tuple[str, ...]
    task: str
    model: str
    scenario: str
    threads: int
    processor: str
    requests: tuple[tuple[int, ...], ...]
    launch: tuple[int, ...]
    slice: tuple[int, ...]
    wall_ns: tuple[tuple[int, ...], ...]
    asked_us: tuple[tuple[tuple[float, ...], ...], ...]

    @property
    def variant(self) -> str:
        """The variant of the first cell: of all cells, in a null test."""
        return self.variants[0]

    @property
    def is_null_test(self) -> bool:
        """Whether all cells are of one variant."""
        return len(set(self.variants)) == 1

    @property
    def cells(self) -> int:
        """The number of cells that were measured side by side."""
        return len(self.variants)


def trace_of(records: Sequence[Record]) -> Trace:
    """Return the trace of records that were measured side by side; ValueError if they were not."""
    first = records[0]
    if len(records) < 2 or len({(record.run, record.cell.group) for record in records}) > 1:  # noqa: PLR2004
        raise ValueError("a trace needs two records or more of one group")
    by_turn = [{(item.launch, item.index): item for item in record.rounds} for record in records]
    turns = [turn for turn in by_turn[0] if all(turn in rounds for rounds in by_turn)]
    return Trace(
        run=first.run,
        created=first.created,
        condition=str(first.configuration.get("condition", "")),
        variants=tuple(record.cell.variant for record in records),
        task=first.cell.task,
        model=first.model.name,
        scenario=first.cell.scenario,
        threads=first.cell.threads,
        processor=str(first.host.facts.get("cpu_model", first.host.facts.get("model", ""))),
        **_columns([[rounds[turn] for rounds in by_turn] for turn in turns]),
    )


def _columns(rounds: Sequence[Sequence[Round]]) -> JsonObject:
    """Return the fields with a value for each round, from the cells' visits in that round."""
    return {
        "requests": tuple(tuple(item.requests for item in visits) for visits in rounds),
        "launch": tuple(visits[0].launch for visits in rounds),
        "slice": tuple(visits[0].slice for visits in rounds),
        "wall_ns": tuple(tuple(item.wall_ns for item in visits) for visits in rounds),
        "asked_us": tuple(tuple(map(_microseconds, visits)) for visits in rounds),
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
        fields: JsonObject = parse_json_object(read_input(path, TRACE, DataError))
        if (version := fields.pop("format")) not in (WITHOUT_COPIES, FORMAT):
            raise DataError(f"expected a trace of format {FORMAT}, got {version!r}.", where=str(path))
        if version == WITHOUT_COPIES:
            fields["variants"] = [fields.pop("variant")] * 2
            fields.pop("leads")
            fields["requests"] = _requests_of_both(fields)
        fields["requests"] = [tuple(cells) for cells in fields["requests"]]
        fields["wall_ns"] = [tuple(cells) for cells in fields["wall_ns"]]
        fields["asked_us"] = [tuple(map(tuple, cells)) for cells in fields["asked_us"]]
        columns = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return Trace(**{**fields, **columns})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"not a trace: {error}.", where=str(path)) from None


def _requests_of_both(fields: JsonObject) -> list[tuple[int, int]]:
    """Return the requests of both windows of each round, of which version 2 kept those of the first only.

    A window holds whole passes over its requests, and longer ones where the other system was faster. How many
    follows from its length and from what a pass took, by the part of a window that is between requests.
    """
    passes = [
        count / len(times[0]) for count, times in zip(fields["requests"], fields["asked_us"], strict=True)
    ]
    lengths = [[sum(cell) * 1e3 for cell in times] for times in fields["asked_us"]]
    windows = list(zip(fields["wall_ns"], passes, lengths, strict=True))
    overhead = median(wall[0] / (count * length[0]) for wall, count, length in windows)
    return [
        (round(count * len(times[0])), max(1, round(wall[1] / (length[1] * overhead))) * len(times[1]))
        for (wall, count, length), times in zip(windows, fields["asked_us"], strict=True)
    ]


def load_all(folder: Path) -> list[Trace]:
    """Read every trace in a folder, in the order of their names; DataError if it has none."""
    traces = [load(path) for path in sorted(folder.glob("*.json"))]
    if not traces:
        remedy = "Record one with `bench run --null-test VARIANT`."
        raise DataError("the folder has no traces.", where=str(folder), remedy=remedy)
    return traces
