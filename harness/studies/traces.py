"""Traces of null tests: how long each window took when a variant was measured against itself.

    two records of one variant --trace_of--> Trace --save--> results/traces/RUN.json --load--> Trace

A trace is numbers only. Real machines disturb in ways that nobody would invent, so what is claimed of
verdicts is shown by replaying traces (`harness.studies.null_test`) and not by drawing noise.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import DataError
from harness.records.record import Record, Round

FORMAT = 2
"""1 held no times of requests."""

DIGITS = 4
"""Significant digits that a request's microseconds are kept in: noise is in the third."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One null test; the last five hold a value for each round, in order of time.

    `wall_ns` are the windows of the two cells, (first, second); `leads` is 0 where the first cell went first;
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
    """Return the trace of a null test; ValueError if the records are not of one variant in one group."""
    if first.cell.group != second.cell.group or first.cell.variant != second.cell.variant:
        raise ValueError("a trace is of one variant, measured twice in one group")
    others = {(turn.launch, turn.index): turn for turn in second.rounds}
    pairs = [
        (turn, others[turn.launch, turn.index])
        for turn in first.rounds
        if (turn.launch, turn.index) in others
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


def _columns(pairs: Sequence[tuple[Round, Round]]) -> dict[str, Any]:
    return {
        "requests": tuple(one.requests for one, _ in pairs),
        "launch": tuple(one.launch for one, _ in pairs),
        "slice": tuple(one.slice for one, _ in pairs),
        "leads": tuple(int(one.position > other.position) for one, other in pairs),
        "wall_ns": tuple((one.wall_ns, other.wall_ns) for one, other in pairs),
        "asked_us": tuple((_microseconds(one), _microseconds(other)) for one, other in pairs),
    }


def _microseconds(turn: Round) -> tuple[float, ...]:
    rounded = (float(f"{ns / 1000:.{DIGITS}g}") for ns in turn.asked_ns)
    return tuple(int(each) if each.is_integer() else each for each in rounded)


def save(trace: Trace, folder: Path) -> Path:
    """Write a trace as RUN.json into a folder, which is made if need be, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trace.run}.json"
    packed = {name: json.dumps(value, separators=(",", ":")) for name, value in asdict(trace).items()}
    lines = [f" {json.dumps(name)}: {value}" for name, value in packed.items()]
    text = ",\n".join([f' "format": {FORMAT}', *lines])
    path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
    return path


def load(path: Path) -> Trace:
    """Read a trace; DataError if the file is none."""
    try:
        words: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if words.pop("format") != FORMAT:
            raise DataError("a trace of another format.", where=str(path))
        words["wall_ns"] = [tuple(pair) for pair in words["wall_ns"]]
        words["asked_us"] = [(tuple(one), tuple(other)) for one, other in words["asked_us"]]
        columns = {name: tuple(value) for name, value in words.items() if isinstance(value, list)}
        return Trace(**{**words, **columns})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DataError(f"not a trace: {problem}.", where=str(path)) from None


def load_all(folder: Path) -> list[Trace]:
    """Read every trace in a folder; DataError if there is none."""
    found = [load(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise DataError("no traces.", where=str(folder), remedy="`bench run --null-test VARIANT` makes one.")
    return found
