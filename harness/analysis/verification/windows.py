"""Checks of the windows of one record: counts, order and length of their calls, and the load that arrived.

window   |gap|  call  |gap|  call  |gap|  call  |        sum of gaps and calls = wall_ns, to the nanosecond
"""

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.statistics.latency_percentiles import call_medians
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.raw_samples import RawSamples
from harness.records.estimate import Unavailable
from harness.workload.scenarios.server import is_overloaded

if TYPE_CHECKING:
    from harness.records.record import OfferedLoad, Record, Round

SLACK_NS, SLACK_SHARE = 50_000_000, 0.02
"""Time of a window outside its calls, in records without gaps: interruptions by the scheduler."""

COLD_LOOPS = 20
"""In records without gaps: what a call costs the loop beside a real model, over `loop_ns_per_request`.

That is measured with a call that leaves the caches as they are.
"""

MEASURED_BY_CALLS = ("single-stream", "batch", "offline")
"""Scenarios in which calls follow one another, so that they fill the window."""

_SIMULATION_ERRORS = 8
"""Standard errors within which two simulations of the same steady state agree."""

_LEAST_SLACK = 0.001
"""Or this share of it: few groups of streams give the error, so a small one is known only roughly."""

EARLIER = "wall_ns, in records of an earlier version, which lack the gaps between calls"


def check_rounds(check: VerificationCheck, sealed: SealedRecord, raw: RawSamples) -> None:
    """Compare each round with its calls and answers."""
    record, name = sealed.record, sealed.name
    indexes = [item.index for item in record.rounds]
    check.same(name, "rounds", indexes, sorted(set(raw.timed_round.tolist())))
    check.same(name, "launches", record.launches, len({item.launch for item in record.rounds}))
    for item in record.rounds:
        _check_round(check, f"{name}, round {item.index}", record, item, raw)
    _check_slices(check, name, record, raw)
    for index, count in Counter(indexes).items():
        check.holds(name, f"round {index} exists {count} times", so=count == 1)
    _check_load(check, name, record, raw)


def _check_round(
    check: VerificationCheck, where: str, record: "Record", item: "Round", raw: RawSamples
) -> None:
    calls = raw.calls_of(item.index)
    check.same(where, "requests", item.requests, len(raw.examples_of(item.index)) * item.passes)
    _check_tokens(check, where, record, item)
    _check_calls(check, where, record, item, len(calls))
    if item.asked_ns:
        asked_ns = call_medians(record.cell.scenario, item.passes, calls.tolist())
        check.same(where, "asked_ns", item.asked_ns, asked_ns)
    if record.cell.scenario in MEASURED_BY_CALLS:
        _check_length(check, where, record, item, raw)
    elif record.cell.scenario == "server":
        _check_served(check, where, record, item, raw)


def _check_tokens(check: VerificationCheck, where: str, record: "Record", item: "Round") -> None:
    """Check what lengths of sequences can be: their texts are not kept."""
    check.holds(where, "sequences: fewer than requests", so=item.sequences >= item.requests)
    if not record.cell.command:  # an external program's tokens are words, and a text may have none
        check.holds(where, "tokens: fewer than sequences", so=item.tokens >= item.sequences)
    if item.token_squares is None:
        return
    least, most = item.tokens**2 / max(1, item.sequences), item.tokens**2
    problem = f"token_squares: {item.tokens} tokens in {item.sequences} sequences cannot have this sum"
    check.holds(where, problem, so=least <= item.token_squares <= most)


def _check_calls(check: VerificationCheck, where: str, record: "Record", item: "Round", calls: int) -> None:
    if record.cell.scenario in ("single-stream", "server"):
        check.same(where, "calls", item.requests, calls)
    elif record.cell.scenario == "offline":
        check.same(where, "calls", item.passes, calls)


def _check_length(
    check: VerificationCheck, where: str, record: "Record", item: "Round", raw: RawSamples
) -> None:
    """Compare the length of a window with its calls, and with the gaps between them where they are kept."""
    calls_ns, gaps = int(raw.calls_of(item.index).sum()), raw.gaps_of(item.index)
    if gaps is not None:
        check.same(where, "wall_ns", item.wall_ns, calls_ns + int(gaps.sum()))
        check.holds(where, "gap_ns: two calls overlap", so=not np.any(gaps < 0))
        return
    slack_ns = _slack_ns(record, item, raw)
    problem = f"wall_ns: the record has {item.wall_ns}, and its calls took {calls_ns}"
    check.holds(where, problem, so=calls_ns <= item.wall_ns <= calls_ns + slack_ns)
    check.allow(EARLIER, slack_ns / item.wall_ns)


def _slack_ns(record: "Record", item: "Round", raw: RawSamples) -> int:
    """Return how much of a window may lie outside its calls, in a record without gaps.

    It grows with the number of calls, as each costs the loop time, and with the time that other processes and
    the hypervisor were seen to take.
    """
    loop_ns = record.observer.loop_ns_per_request if record.observer else 0.0
    others = (item.foreign_cpu_ns, item.steal_ns, item.parent_cpu_ns)
    of_calls = COLD_LOOPS * loop_ns * len(raw.calls_of(item.index))
    return SLACK_NS + int(SLACK_SHARE * item.wall_ns + of_calls) + sum(taken or 0 for taken in others)


def _check_served(
    check: VerificationCheck, where: str, record: "Record", item: "Round", raw: RawSamples
) -> None:
    """Check that a window of `server` offers the rate, and lasts until its last request is answered."""
    calls, gaps = raw.calls_of(item.index), raw.gaps_of(item.index)
    offered_ns = item.offered_ns or 0
    if record.cell.rate:
        check.same(where, "offered_ns", item.offered_ns, round(item.requests / record.cell.rate * 1e9))
    # without gaps nothing holds the arrivals: each request can have come at the beginning
    ends = calls if gaps is None else np.cumsum(calls + gaps)
    least_ns = max(offered_ns, int(ends.max(initial=0)))
    problem = f"wall_ns: the record has {item.wall_ns}, and its last request was answered after {least_ns}"
    check.holds(where, problem, so=item.wall_ns >= least_ns)
    if gaps is not None:
        arrivals = np.concatenate([[0], ends - calls, [offered_ns]])
        problem = "gap_ns: the requests do not arrive one after the other within offered_ns"
        check.holds(where, problem, so=bool(np.all(np.diff(arrivals) >= 0)))


def _check_slices(check: VerificationCheck, name: str, record: "Record", raw: RawSamples) -> None:
    """Check that rounds of one slice have the same requests, and different slices no example in common."""
    by_slice: dict[int, list[int]] = {}
    sizes: dict[int, set[tuple[float, ...]]] = defaultdict(set)
    for item in record.rounds:
        examples = raw.examples_of(item.index)
        first = by_slice.setdefault(item.slice, examples)
        check.holds(name, f"slice {item.slice}: its rounds have different examples", so=first == examples)
        totals = (item.sequences, item.tokens, item.token_squares or 0)
        sizes[item.slice].add(tuple(total / item.passes for total in totals))
    for part, distinct in sizes.items():
        problem = f"slice {part}: its rounds have different numbers of sequences or tokens"
        check.holds(name, problem, so=len(distinct) == 1)
    every = [example for examples in by_slice.values() for example in examples]
    check.holds(name, "slice: two slices share an example", so=len(every) == len(set(every)))


def _check_load(check: VerificationCheck, name: str, record: "Record", raw: RawSamples) -> None:
    """Compare the rates of scenario `server` with its windows, and the highest rate with the trials."""
    load, rounds = record.load, record.rounds
    if load is None:
        expected = record.cell.scenario == "server" and bool(rounds)
        check.holds(name, "load: a cell of scenario server has none", so=not expected)
        return
    requests = sum(item.requests for item in rounds)
    rate = 1e9 * requests / max(1, sum(item.offered_ns or 0 for item in rounds))
    achieved = 1e9 * requests / max(1, sum(item.wall_ns for item in rounds))
    latencies = [raw.calls_of(item.index).tolist() for item in rounds]
    check.same(name, "load.rate", load.rate, rate)
    check.same(name, "load.achieved", load.achieved, achieved)
    check.same(name, "load.overloaded", load.overloaded, is_overloaded(rate, achieved, latencies))
    check.same(name, "load.seed", load.seed, record.seed)
    check.same(name, "load.promise", load.promise, record.cell.slo)
    _check_steady_state(check, name, record, raw, rate)
    _check_trials(check, name, load)


def _check_steady_state(
    check: VerificationCheck, name: str, record: "Record", raw: RawSamples, rate: float
) -> None:
    """Compute the steady state again; another version of numpy may draw other random numbers."""
    from harness.analysis.capacity.queueing.observed import observed_steady_state

    steady = record.load.steady if record.load else None
    windows = [(raw.calls_of(item.index), raw.gaps_of(item.index)) for item in record.rounds]
    pairs = [(calls, gaps) for calls, gaps in windows if gaps is not None]
    if steady is None or not pairs or len(pairs) < len(windows) or rate <= 0 or record.cell.instances < 1:
        return
    if not 0 < steady.percentile < 100:  # noqa: PLR2004 -- percent
        check.holds(name, f"load.steady.percentile: {steady.percentile:g} is none", so=False)
        return
    calls = np.sort(np.concatenate([own for own, _ in pairs]))
    rank = math.ceil(round(steady.percentile / 100 * len(calls), 9))
    check.same(name, "load.steady.measured_ns", steady.measured_ns, int(calls[rank - 1]))
    expected = observed_steady_state(pairs, rate, record.cell.instances, steady.percentile)
    if isinstance(expected, Unavailable):
        check.same(name, "load.steady.unavailable", steady.unavailable, expected.reason)
        return
    busy = steady.utilisation or 0.0
    problem = f"load.steady.utilisation: record {busy:.4g}, its windows give {expected.utilisation:.4g}"
    check.holds(name, problem, so=math.isclose(busy, expected.utilisation, rel_tol=1e-6))
    value, again = steady.value_ns, expected.seconds
    if value is None or again is None:
        check.same(name, "load.steady.value_ns", value, again)
        return
    slack = max(_SIMULATION_ERRORS * 1e9 * (expected.error or 0), 1e9 * _LEAST_SLACK * again)
    check.allow("load.steady.value_ns", slack / (1e9 * again))
    problem = f"load.steady.value_ns: the record has {value}, its windows give {1e9 * again:.0f}"
    check.holds(name, problem, so=abs(value - 1e9 * again) <= slack)


def _check_trials(check: VerificationCheck, name: str, load: "OfferedLoad") -> None:
    kept = [trial.rate for trial in load.trials if trial.kept]
    check.same(name, "load.highest_rate", load.highest_rate, max(kept, default=None))
    for trial in load.trials:
        overloaded = trial.overloaded and trial.kept
        check.holds(
            name, f"load.trials: {trial.rate:g}/s kept the objective and was overloaded", so=not overloaded
        )
