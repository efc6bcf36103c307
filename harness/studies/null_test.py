"""Replays traces of null tests: how often a thing is told from itself, how often a planted change is found.

    trace --block of rounds--> ratios --compare, as reports do--> Ratio --a family of them--> verdicts

Blocks are consecutive rounds, so that what neighbours have in common stays in; of several launches they are
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
"""The slow-down that is to be found."""

WANTED = 0.95
"""How often it is to be found."""

BLOCKS = 25
"""Blocks of one trace, spread evenly over it: neighbouring ones share most of their rounds, or all."""

_DIFFERENT = ("faster", "slower")


@dataclass(frozen=True, slots=True)
class Block:
    """A comparison of equal things, and the same with one side slowed down."""

    equal: Ratio
    planted: Ratio


@dataclass(frozen=True, slots=True)
class NullTestRow:
    """Shares of families: with a false difference, and in which the planted change was found.

    `launches` are those that a comparison's rounds are of.
    """

    rounds: int
    family: int
    false_alarms: float
    found: float
    launches: int = 1


@dataclass(frozen=True, slots=True)
class Stopped:
    """What came of rounds added until an interval was narrow: median rounds, and shares of comparisons."""

    false_alarms: float
    reached: float
    rounds: float


def study(
    traces: Sequence[Trace], counts: Iterable[int], families: Sequence[int], times: int
) -> list[NullTestRow]:
    """Return a row for each number of rounds that any trace holds, and each size of a family."""
    blocks = {rounds: blocks_of(traces, rounds) for rounds in counts}
    return [
        NullTestRow(rounds, family, *shares(found, family, times))
        for rounds, found in blocks.items()
        for family in families
        if found
    ]


def study_launches(
    traces: Sequence[Trace], counts: Iterable[int], families: Sequence[int], times: int
) -> list[NullTestRow]:
    """Return a row for each number of launches that any trace holds; traces of one length of a launch."""
    blocks = {launches: launch_blocks_of(traces, launches) for launches in counts}
    each = rounds_per_launch(traces[0])
    return [
        NullTestRow(launches * each, family, *shares(found, family, times), launches)
        for launches, found in blocks.items()
        for family in families
        if found
    ]


def rounds_per_launch(trace: Trace) -> int:
    """Return how many rounds the first launch of a trace has."""
    return trace.launch.count(trace.launch[0])


def launch_blocks_of(traces: Iterable[Trace], launches: int) -> list[Block]:
    """Return blocks of so many launches of every trace that holds them, as many of each trace."""
    found = []
    for trace in traces:
        chosen = list(combinations(sorted(set(trace.launch)), launches))
        places = np.linspace(0, len(chosen) - 1, BLOCKS).astype(int).tolist() if chosen else []
        turns = [(chosen[place], at % 2) for at, place in enumerate(places)]
        rows = {of: [at for at, launch in enumerate(trace.launch) if launch in of] for of, _ in turns}
        known = {turn: _block(trace, rows[turn[0]], slower=turn[1]) for turn in set(turns)}
        found += [known[turn] for turn in turns]
    return found


def blocks_of(traces: Iterable[Trace], rounds: int) -> list[Block]:
    """Return blocks of so many consecutive rounds of every trace that holds them, as many of each trace.

    A short trace gives the same few again and again, so that long ones do not count more. The planted change
    goes to either side in turn.
    """
    found = []
    for trace in traces:
        last = len(trace.wall_ns) - rounds
        starts = np.linspace(0, last, BLOCKS).astype(int).tolist() if last >= 0 else []
        turns = [(start, at % 2) for at, start in enumerate(starts)]
        known = {turn: _block(trace, range(turn[0], turn[0] + rounds), slower=turn[1]) for turn in set(turns)}
        found += [known[turn] for turn in turns]
    return found


def shares(blocks: Sequence[Block], family: int, times: int, seed: int = 0) -> tuple[float, float]:
    """Return in which share of so many drawn families any differ, and in which a planted one is found."""
    draw = np.random.default_rng(seed)
    alarms = found = 0
    for members in draw.integers(len(blocks), size=(times, family)):
        equal = [blocks[at].equal for at in members]
        alarms += _differs(equal)
        planted = blocks[members[0]].planted
        found += verdicts([planted, *equal[1:]])[0].verdict in _DIFFERENT
    return alarms / times, found / times


def rounds_needed(rows: Sequence[NullTestRow]) -> int | None:
    """Return the least number of rounds from which on the planted change is found as often as wanted."""
    enough = None
    for row in sorted(rows, key=lambda row: -row.rounds):
        if row.found < WANTED:
            break
        enough = row.rounds
    return enough


def until_narrow(
    traces: Sequence[Trace], half_width: float, *, first: int, step: int, times: int, seed: int = 0
) -> Stopped:
    """Replay `--precision`: begin anywhere, add rounds until narrow or until the trace ends, then judge."""
    draw = np.random.default_rng(seed)
    long = [trace for trace in traces if len(trace.wall_ns) >= first]
    picked = [long[at] for at in draw.integers(len(long), size=times)]
    starts = [int(draw.integers(len(trace.wall_ns) - first + 1)) for trace in picked]
    known = {
        case: _until_narrow(*case, half_width, first, step) for case in set(zip(picked, starts, strict=True))
    }
    ends = [known[case] for case in zip(picked, starts, strict=True)]
    return Stopped(
        false_alarms=sum(_differs([ratio]) for ratio, _ in ends) / times,
        reached=sum(narrow for _, narrow in ends) / times,
        rounds=float(np.median([ratio.count for ratio, _ in ends])),
    )


def _until_narrow(trace: Trace, start: int, half_width: float, first: int, step: int) -> tuple[Ratio, bool]:
    rounds = first
    while True:
        found = _compared(trace, range(start, start + rounds))
        narrow = (found.high - found.low) / 2 / found.value <= half_width
        if narrow or start + rounds + step > len(trace.wall_ns):
            return found, narrow
        rounds += step


def _block(trace: Trace, rows: Sequence[int], *, slower: int) -> Block:
    """Compare these rounds as they are, and with every time of one side slowed down."""
    by = PLANTED if slower else 1 / PLANTED
    return Block(_compared(trace, rows), _compared(trace, rows, by))


def _compared(trace: Trace, rows: Sequence[int], by: float = 1.0) -> Ratio:
    requests = [each + np.log(by) for each in logs_of(trace, rows)]
    times = np.asarray([trace.wall_ns[at] for at in rows], dtype=np.float64)
    launches = [trace.launch[at] for at in rows]
    return paired_ratio(times[:, 1] / times[:, 0] * by, launches, over=trace.variant, requests=requests)


def logs_of(trace: Trace, rows: Iterable[int] | None = None) -> list[Floats]:
    """Return second over first for every request, as logarithms by round; none where a round has none."""
    of = trace.asked_us if rows is None else [trace.asked_us[at] for at in rows]
    turns = [np.asarray(turn, dtype=np.float64) for turn in of]
    return [np.log(turn[1] / turn[0]) for turn in turns] if all(turn.size for turn in turns) else []


def _differs(ratios: Sequence[Ratio]) -> bool:
    return any(each.verdict in _DIFFERENT for each in verdicts(ratios))
