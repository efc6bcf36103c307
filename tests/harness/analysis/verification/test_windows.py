"""Checks of windows: their length by calls and gaps, on busy machines too, and rates of scenario `server`."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from records import a_record

from harness.analysis.capacity.queueing.observed import ObservedSteadyState, observed_steady_state
from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.raw_samples import RawSamples
from harness.analysis.verification.windows import check_rounds
from harness.records.record import HarnessOverhead, OfferedLoad, RateTrial, Record, SteadyState

CALLS = [100, 200, 300]


def samples(calls: list[int], gaps: list[int] | None, examples: int = 3) -> RawSamples:
    """Return the samples of one round."""
    return RawSamples(
        call_ns=np.array(calls, np.int64),
        call_round=np.zeros(len(calls), np.int64),
        timed_example=np.arange(examples),
        timed_round=np.zeros(examples, np.int64),
        timed_answer=("true",) * examples,
        answers=dict.fromkeys(range(examples), "true"),
        examples=examples,
        counts=np.zeros((0, 0)),
        gap_ns=None if gaps is None else np.array(gaps, np.int64),
    )


def measured(wall_ns: int, scenario: str = "single-stream", passes: int = 1, **changes: Any) -> Record:
    """Return a record of one round over three requests of one sequence of 50 tokens."""
    fields = {name: changes.pop(name) for name in ("offered_ns", "foreign_cpu_ns") if name in changes}
    record = a_record(wall_ms=[1.0], requests=3 * passes, cell={"scenario": scenario}, **changes)
    update = {"wall_ns": wall_ns, "passes": passes, "readings": (), **fields}
    window = replace(record.rounds[0], **update)
    return record.model_copy(update={"rounds": (window,)})


def check(record: Record, raw: RawSamples) -> VerificationCheck:
    """Return the check of the rounds."""
    result = VerificationCheck("rounds", "")
    check_rounds(result, SealedRecord("cell.json", {}, record, None), raw)
    return result


def test_calls_and_gaps_are_the_window_to_the_nanosecond() -> None:
    """600 ns of calls, 45 between them; a pause of ten minutes in a gap is as good as any."""
    assert check(measured(645), samples(CALLS, [0, 30, 15])).wrong == []
    paused = 600_000_000_000
    assert check(measured(600 + paused), samples(CALLS, [0, paused, 0])).wrong == []
    for wall_ns in (644, 646):
        assert "wall_ns" in check(measured(wall_ns), samples(CALLS, [0, 30, 15])).wrong[0]


def test_calls_of_one_window_do_not_overlap() -> None:
    """Where they follow one another."""
    assert any("overlap" in line for line in check(measured(600), samples(CALLS, [0, 15, -15])).wrong)


def test_without_gaps_the_tolerance_grows_with_the_calls() -> None:
    """50 ms, 2 % and 20 loops of 1 us for each of 30,000 calls: windows of 600 ms pass, of 700 ms do not."""
    calls, observer = [1000] * 30_000, HarnessOverhead(loop_ns_per_request=1000.0)
    raw = samples(calls, None)
    assert check(measured(600_000_000, passes=10_000, observer=observer), raw).wrong == []
    result = check(measured(700_000_000, passes=10_000, observer=observer), raw)
    assert "its calls took 30000000" in result.wrong[0]
    assert any("% only" in gap for gap in result.gaps)


def test_without_gaps_the_tolerance_has_what_others_took() -> None:
    """A window of 300 ms with calls of 100 ms, while others were seen to take 200 ms of CPU time."""
    raw = samples([100_000_000, 0, 0], None)
    assert check(measured(300_000_000), raw).wrong
    assert check(measured(300_000_000, foreign_cpu_ns=200_000_000), raw).wrong == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"tokens": 2}, "fewer than sequences"), ({"token_squares": 7_499}, "cannot have this sum")],
)
def test_lengths_are_possible(change: dict[str, int], problem: str) -> None:
    """150 tokens in three sequences have squares of 7,500 at least."""
    record = measured(645)
    window = replace(record.rounds[0], **change)
    lines = check(record.model_copy(update={"rounds": (window,)}), samples(CALLS, [0, 30, 15])).wrong
    assert any(problem in line for line in lines)


def served(wall_ns: int = 1000, **load: Any) -> Record:
    """Return three requests that arrive at 0, 100 and 400 ns in a window of 900 ns, which are too many."""
    facts = {"rate": 3e9 / 900, "achieved": 3e9 / wall_ns, "overloaded": True, "seed": 0} | load
    return measured(wall_ns, "server", offered_ns=900, load=OfferedLoad(**facts))


ARRIVED = samples([100, 200, 550], [0, 0, 100])
"""Ends at 100, 300 and 950 ns."""


def test_a_window_of_server_lasts_until_its_last_answer() -> None:
    """No shorter than what was offered, nor than its last request's end."""
    assert check(served(), ARRIVED).wrong == []
    assert any("answered after 950" in line for line in check(served(949), ARRIVED).wrong)


def test_requests_arrive_in_order_within_what_was_offered() -> None:
    """The third would begin after 900 ns."""
    assert any(
        "one after the other" in line for line in check(served(2000), samples(CALLS, [0, 0, 601])).wrong
    )


@pytest.mark.parametrize("change", [{"rate": 1.0}, {"achieved": 1.0}, {"overloaded": False}, {"seed": 1}])
def test_rates_follow_from_the_windows(change: dict[str, Any]) -> None:
    """Offered, answered, overloaded and the seed."""
    assert any(f"load.{next(iter(change))}" in line for line in check(served(**change), ARRIVED).wrong)


def test_the_highest_rate_is_that_of_the_trials() -> None:
    """The highest that kept the objective, and none that was overloaded did."""
    facts = {"achieved": 1.0, "requests": 3, "value_ns": 1, "needed": 3, "have": 3}
    trials = tuple(
        RateTrial(rate=rate, overloaded=rate > 30, kept=rate < 25, **facts) for rate in (10.0, 20.0, 40.0)
    )
    promised = {"trials": trials, "capacity": 80.0}
    assert check(served(highest_rate=20.0, **promised), ARRIVED).wrong == []
    assert any("highest_rate" in line for line in check(served(highest_rate=40.0, **promised), ARRIVED).wrong)


def a_steady_state(**changes: Any) -> SteadyState:
    """Return that of the three requests of `ARRIVED`, which are served for 100, 200 and 550 ns."""
    steady = observed_steady_state([([100, 200, 550], [0, 0, 100])], 3e9 / 900, 1, 99.0)
    assert isinstance(steady, ObservedSteadyState)
    assert steady.utilisation == pytest.approx(850 / 900)
    assert steady.seconds is not None
    assert steady.error is not None
    facts = {
        "percentile": 99.0,
        "measured_ns": 550,
        "value_ns": round(1e9 * steady.seconds),
        "error_ns": round(1e9 * steady.error),
        "utilisation": steady.utilisation,
    }
    return SteadyState(**facts | changes)


def test_the_steady_state_is_computed_again_from_the_windows() -> None:
    """Within the error of the simulation."""
    assert check(served(steady=a_steady_state()), ARRIVED).wrong == []


@pytest.mark.parametrize(
    "change",
    [
        {"measured_ns": 551},
        {"value_ns": 1_000},
        {"value_ns": None},
        {"utilisation": 0.5},
        {"percentile": 100.0},
    ],
)
def test_another_steady_state_is_found(change: dict[str, Any]) -> None:
    """Each field of it."""
    lines = check(served(steady=a_steady_state(**change)), ARRIVED).wrong
    assert any(f"load.steady.{next(iter(change))}" in line for line in lines), lines
