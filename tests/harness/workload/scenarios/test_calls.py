import pytest

from harness.analysis.statistics.latency_percentiles import TimedPass, percentiles, whole_calls
from harness.common.errors import UsageError
from harness.workload.scenarios import SCENARIOS, get_scenario


@pytest.mark.parametrize(
    ("scenario", "calls"),
    [
        ("single-stream", [(0,), (1,), (2,), (3,), (4,)]),
        ("server", [(0,), (1,), (2,), (3,), (4,)]),
        ("batch", [(0, 1), (2, 3), (4,)]),
        ("offline", [(0, 1, 2, 3, 4)]),
    ],
)
def test_a_scenario_splits_requests_into_calls(scenario: str, calls: list[tuple[int, ...]]) -> None:
    """Five requests, with batches of two; the order is kept."""
    assert get_scenario(scenario).calls(range(5), 2) == [tuple(call) for call in calls]


def test_an_unknown_scenario_is_an_error_with_the_nearest_name() -> None:
    """As for all names."""
    with pytest.raises(UsageError, match="Did you mean server"):
        get_scenario("servr")
    assert list(SCENARIOS) == ["single-stream", "batch", "offline", "server"]


def test_only_whole_batches_have_a_latency() -> None:
    """Five requests in batches of two, two passes: the third call of each pass holds one request."""
    assert whole_calls(TimedPass(range(5), [10, 20, 7, 11, 21, 8]), 2) == [10, 20, 11, 21]
    assert whole_calls(TimedPass(range(4), [10, 20, 11, 21]), 2) == [10, 20, 11, 21]
    assert whole_calls(TimedPass(range(3), [10]), 4) == []


def test_repeats_of_a_batch_are_no_further_calls() -> None:
    """Twelve different batches of two, each called twice: enough for p50 (11), not for p90 (64)."""
    first, second = range(12), range(12, 24)
    windows = [TimedPass(first, [5] * 12), TimedPass(second, [5] * 6), TimedPass(second, [5] * 6)]
    latency = percentiles("batch", 2, windows)
    assert (latency["p50"]["have"], latency["p50"]["value_ns"]) == (12, 5.0)
    assert (latency["p90"]["needed"], latency["p90"]["value_ns"]) == (64, None)


def test_offline_has_no_latency_and_single_requests_do() -> None:
    """Eleven requests are enough for p50."""
    windows = [TimedPass(range(11), list(range(11)))]
    assert percentiles("offline", 1, windows) == {}
    assert percentiles("server", 1, windows)["p50"]["value_ns"] == 5.0
    assert percentiles("single-stream", 1, []) == {}
