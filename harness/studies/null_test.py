"""Replays traces of null tests: false alarms between equal systems, and the power to detect a planted change.

    trace --block of rounds--> ratios --paired_ratio, as in reports--> Ratio --a family of them--> verdicts

Blocks are consecutive rounds, so that they keep the correlation of neighbours; with several launches they are
whole launches. Every ratio, correction and verdict comes from the functions that reports use.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.analysis.statistics.estimates import Floats
from harness.analysis.statistics.multiple_testing import verdicts
from harness.analysis.statistics.ratios import Ratio, paired_ratio
from harness.studies.traces import Trace

PLANTED = 1.05
"""The planted slow-down."""

WANTED = 0.95
"""The required power: the share of families in which the planted slow-down is detected."""

BLOCKS = 25
"""Blocks of one trace, spread evenly over it: neighbouring blocks share most or all of their rounds."""

_DIFFERENT = ("faster", "slower")


@dataclass(frozen=True, slots=True)
class Block:
    """A comparison of equal systems, and the same with one side slowed down."""

    equal: Ratio
    planted: Ratio


@dataclass(frozen=True, slots=True)
class NullTestRow:
    """Shares of families: with a false difference, and in which the planted change was detected.

    `launches` is the number of launches of a comparison.
    """

    rounds: int
    family: int
    false_alarms: float
    found: float
    launches: int = 1


@dataclass(frozen=True, slots=True)
class Stopped:
    """Result of adding rounds until an interval is narrow: shares of comparisons, and median rounds."""

    false_alarms: float
    reached: float
    rounds: float


def study(
    traces: Sequence[Trace], counts: Iterable[int], families: Sequence[int], times: int
) -> list[NullTestRow]:
    """Return a row for each number of rounds that some trace has, and each size of a family.

    `counts` are numbers of rounds, `families` sizes, and `times` is the number of families that are drawn.
    """
    blocks_by_rounds = {rounds: blocks_of(traces, rounds) for rounds in counts}
    return [
        NullTestRow(rounds, family, *shares(blocks, family, times))
        for rounds, blocks in blocks_by_rounds.items()
        for family in families
        if blocks
    ]


def study_launches(
    traces: Sequence[Trace], counts: Iterable[int], families: Sequence[int], times: int
) -> list[NullTestRow]:
    """Return a row for each number of launches that some trace has; all launches must have equal lengths."""
    blocks_by_launches = {launches: launch_blocks_of(traces, launches) for launches in counts}
    rounds = rounds_per_launch(traces[0])
    return [
        NullTestRow(launches * rounds, family, *shares(blocks, family, times), launches)
        for launches, blocks in blocks_by_launches.items()
        for family in families
        if blocks
    ]


def rounds_per_launch(trace: Trace) -> int:
    """Return the number of rounds in the first launch of a trace."""
    return trace.launch.count(trace.launch[0])


def launch_blocks_of(traces: Iterable[Trace], launches: int) -> list[Block]:
    """Return blocks of `launches` launches of every trace that has them, equally many of each trace."""
    blocks = []
    for trace in traces:
        chosen = list(combinations(sorted(set(trace.launch)), launches))
        picked = [chosen[place] for place in _evenly(len(chosen))]
        rows = {
            subset: tuple(at for at, launch in enumerate(trace.launch) if launch in subset)
            for subset in set(picked)
        }
        blocks += _blocks(trace, [rows[subset] for subset in picked])
    return blocks


def blocks_of(traces: Iterable[Trace], rounds: int) -> list[Block]:
    """Return blocks of `rounds` consecutive rounds of every trace that has them, equally many of each trace.

    A short trace gives the same few blocks repeatedly, so that long traces have no larger weight. The planted
    change is on either side in turn.
    """
    blocks = []
    for trace in traces:
        starts = _evenly(len(trace.wall_ns) - rounds + 1)
        blocks += _blocks(trace, [range(start, start + rounds) for start in starts])
    return blocks


def _evenly(count: int) -> list[int]:
    """Return `BLOCKS` places spread evenly over `count` places, or none."""
    return np.linspace(0, count - 1, BLOCKS).astype(int).tolist() if count > 0 else []


def _blocks(trace: Trace, blocks: Sequence[Sequence[int]]) -> list[Block]:
    """Return a block for each sequence of rows; equal blocks are computed once."""
    turns = [(rows, at % 2) for at, rows in enumerate(blocks)]
    computed = {turn: _block(trace, turn[0], slower=turn[1]) for turn in set(turns)}
    return [computed[turn] for turn in turns]


def shares(blocks: Sequence[Block], family: int, times: int, seed: int = 0) -> tuple[float, float]:
    """Return the share of families with a false difference, and the share that detect a planted change."""
    draw = np.random.default_rng(seed)
    alarms = detected = 0
    for members in draw.integers(len(blocks), size=(times, family)):
        equal = [blocks[at].equal for at in members]
        alarms += _differs(equal)
        planted = blocks[members[0]].planted
        detected += verdicts([planted, *equal[1:]])[0].verdict in _DIFFERENT
    return alarms / times, detected / times


def rounds_needed(rows: Sequence[NullTestRow]) -> int | None:
    """Return the number of rounds from which on the power reaches `WANTED`, or None."""
    enough = None
    for row in sorted(rows, key=lambda row: -row.rounds):
        if row.found < WANTED:
            break
        enough = row.rounds
    return enough


def until_narrow(
    traces: Sequence[Trace], half_width: float, *, first: int, step: int, times: int, seed: int = 0
) -> Stopped:
    """Replay `--precision`: start anywhere, add rounds until narrow or until the trace ends, then judge."""
    draw = np.random.default_rng(seed)
    long = [trace for trace in traces if len(trace.wall_ns) >= first]
    picked = [long[at] for at in draw.integers(len(long), size=times)]
    starts = [int(draw.integers(len(trace.wall_ns) - first + 1)) for trace in picked]
    cases = list(zip(picked, starts, strict=True))
    computed = {case: _until_narrow(*case, half_width, first, step) for case in set(cases)}
    results = [computed[case] for case in cases]
    return Stopped(
        false_alarms=sum(_differs([ratio]) for ratio, _ in results) / times,
        reached=sum(is_narrow for _, is_narrow in results) / times,
        rounds=float(np.median([ratio.count for ratio, _ in results])),
    )


def _until_narrow(trace: Trace, start: int, half_width: float, first: int, step: int) -> tuple[Ratio, bool]:
    rounds = first
    while True:
        ratio = _ratio(trace, range(start, start + rounds))
        is_narrow = (ratio.high - ratio.low) / 2 / ratio.value <= half_width
        if is_narrow or start + rounds + step > len(trace.wall_ns):
            return ratio, is_narrow
        rounds += step


def _block(trace: Trace, rows: Sequence[int], *, slower: int) -> Block:
    """Compare these rounds as they are, and with every time of one side slowed down."""
    factor = PLANTED if slower else 1 / PLANTED
    return Block(_ratio(trace, rows), _ratio(trace, rows, factor))


def _ratio(trace: Trace, rows: Sequence[int], factor: float = 1.0) -> Ratio:
    requests = [logs + np.log(factor) for logs in logs_of(trace, rows)]
    times = np.asarray([trace.wall_ns[at] for at in rows], dtype=np.float64)
    launches = [trace.launch[at] for at in rows]
    return paired_ratio(times[:, 1] / times[:, 0] * factor, launches, over=trace.variant, requests=requests)


def logs_of(trace: Trace, rows: Iterable[int] | None = None) -> list[Floats]:
    """Return log(second / first) of every request by round; empty if a round has no times of requests."""
    rounds = trace.asked_us if rows is None else [trace.asked_us[at] for at in rows]
    pairs = [np.asarray(pair, dtype=np.float64) for pair in rounds]
    return [np.log(pair[1] / pair[0]) for pair in pairs] if all(pair.size for pair in pairs) else []


def _differs(ratios: Sequence[Ratio]) -> bool:
    return any(judgement.verdict in _DIFFERENT for judgement in verdicts(ratios))
