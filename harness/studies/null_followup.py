"""Replays what follows a first look at noise: the advice of a note, and rounds added until `--precision`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.analysis.statistics.advice import Effort, advised_effort
from harness.analysis.statistics.ratios import Ratio, paired_ratios
from harness.studies.null_test import (
    Count,
    Known,
    Shape,
    blocks,
    count,
    differs,
    disjoint_pairs,
    pair_of_cells,
    pairs_of_cells,
    slowed,
)
from harness.studies.traces import Trace


@dataclass(frozen=True, slots=True)
class AdviceRow:
    """How often what a note advises finds a planted change that the first rounds did not.

    `noted` counts comparisons that got advice among those whose change was not found, `kept` those in which
    the advised effort found it, of all whose trace has as many further rounds.
    """

    size: float
    noted: Count
    kept: Count


def replay_advice(traces: Sequence[Trace], known: Known, start: Shape, size: float, family: int) -> AdviceRow:
    """Return how often advice comes true where rounds of shape `start` do not find a planted change."""
    noted, kept = [], []
    for trace in traces:
        for rows in blocks(trace, start):
            for pair, cells in zip(disjoint_pairs(trace, rows, known), pairs_of_cells(trace), strict=True):
                ratio = replace(paired_ratios([slowed(pair, size)])[0], family=family)
                if differs(ratio, family):
                    continue
                effort = advised_effort(ratio)
                noted.append(effort is not None)
                further = _further_rows(trace, rows, effort) if effort else None
                if further:
                    again = paired_ratios([slowed(pair_of_cells(trace, further, cells, known), size)])[0]
                    kept.append(differs(again, family))
    return AdviceRow(size, count(noted), count(kept))


def _further_rows(trace: Trace, used: Sequence[int], effort: Effort) -> list[int] | None:
    """Return rows of launches that were not used, as many as the effort needs; None if there are too few."""
    taken = {trace.launch[row] for row in used}
    shape = Shape(effort.launches, effort.rounds)
    launches = [launch for launch in dict.fromkeys(trace.launch) if launch not in taken]
    rows = [[at for at, of in enumerate(trace.launch) if of == launch][: shape.rounds] for launch in launches]
    long = [part for part in rows if len(part) == shape.rounds][: shape.launches]
    return [row for part in long for row in part] if len(long) == shape.launches else None


@dataclass(frozen=True, slots=True)
class StoppedRow:
    """Rounds added until an interval is narrow: its coverage and false differences, and the median rounds."""

    half_width: float
    covered: Count
    alarms: Count
    reached: Count
    rounds: float


def replay_precision(
    traces: Sequence[Trace], known: Known, half_width: float, *, first: int = 11, step: int = 4
) -> StoppedRow:
    """Replay `--precision` in each launch: add rounds until the interval is narrow or the launch ends."""
    ratios, reached = [], []
    for trace in traces:
        for launch in blocks(trace, Shape(1, first)):
            ends = [
                at for at, of in enumerate(trace.launch) if of == trace.launch[launch[0]] and at >= launch[0]
            ]
            if trace.launch.index(trace.launch[launch[0]]) != launch[0]:
                continue
            for cells in pairs_of_cells(trace):
                ratio, narrow = _until_narrow(trace, ends, cells, known, half_width, first, step)
                ratios.append(ratio)
                reached.append(narrow)
    return StoppedRow(
        half_width,
        count(ratio.low <= 1 <= ratio.high for ratio in ratios),
        count(differs(ratio) for ratio in ratios),
        count(reached),
        float(np.median([ratio.count for ratio in ratios])),
    )


def _until_narrow(
    trace: Trace,
    rows: Sequence[int],
    cells: tuple[int, int],
    known: Known,
    half_width: float,
    first: int,
    step: int,
) -> tuple[Ratio, bool]:
    count = first
    while True:
        ratio = paired_ratios([pair_of_cells(trace, rows[:count], cells, known)])[0]
        is_narrow = (ratio.high - ratio.low) / 2 / ratio.value <= half_width
        if is_narrow or count + step > len(rows):
            return ratio, is_narrow
        count += step
