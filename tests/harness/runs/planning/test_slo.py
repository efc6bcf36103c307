import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.common.errors import UsageError
from harness.runs.planning.slo import LatencyObjective, TriedRate, highest_rate, nearest_rank, parse


@pytest.mark.parametrize(
    ("words", "promise"),
    [
        ("p99=20ms", LatencyObjective(99, 20_000_000)),
        ("p90 = 1.5 s", LatencyObjective(90, 1_500_000_000)),
        ("p99.9=800us", LatencyObjective(99.9, 800_000)),
    ],
)
def test_a_promise_is_a_percentile_and_a_time(words: str, promise: LatencyObjective) -> None:
    """As people write it."""
    assert parse(words) == promise


@pytest.mark.parametrize(
    "words", ["", "20ms", "p99", "p99=20", "p98=20ms", "p99=0ms", "p99=-1ms", "p99=20min"]
)
def test_what_is_no_promise_is_refused(words: str) -> None:
    """Naming the percentiles there are."""
    with pytest.raises(UsageError, match="not a service-level objective"):
        parse(words)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_promise_or_refused(words: str) -> None:
    """It never fails in another way."""
    with contextlib.suppress(UsageError):
        assert parse(words).bound_ns > 0


def trial(limit: float, asked: list[float]) -> "object":
    def tried(rate: float) -> TriedRate:
        asked.append(rate)
        return TriedRate(rate, rate, 100, 1, overloaded=False, kept=rate <= limit)

    return tried


def test_the_interval_is_halved_until_it_is_narrow() -> None:
    """Capacity 160, promise kept up to 100: 80 yes, 120 no, 100 yes, 110 no, 105 no: 100 to 105 is 5 %."""
    asked: list[float] = []
    highest, trials = highest_rate(trial(100.0, asked), 160.0)  # type: ignore[arg-type]
    assert asked == [80.0, 120.0, 100.0, 110.0, 105.0]
    assert highest == 100.0
    assert [each.kept for each in trials] == [True, False, True, False, False]


def test_a_promise_that_nobody_can_keep_ends_the_search_early() -> None:
    """160: 80, 40, 20, 10 break it, and at a sixteenth of its capacity a system hardly waits."""
    asked: list[float] = []
    assert highest_rate(trial(0.0, asked), 160.0)[0] is None  # type: ignore[arg-type]
    assert asked == [80.0, 40.0, 20.0, 10.0]


def test_a_promise_that_all_rates_keep_is_searched_up_to_the_capacity() -> None:
    """80, 120, 140, 150, 155: then 155 to 160 is narrow."""
    asked: list[float] = []
    assert highest_rate(trial(1e9, asked), 160.0)[0] == 155.0  # type: ignore[arg-type]
    assert asked == [80.0, 120.0, 140.0, 150.0, 155.0]


def test_a_percentile_of_few_is_the_nearest_rank() -> None:
    """p90 of ten is the ninth, p99 the tenth, p50 the fifth."""
    samples = [10, 1, 9, 2, 8, 3, 7, 4, 6, 5]
    assert [nearest_rank(samples, p) for p in (50, 90, 99)] == [5, 9, 10]
