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
def test_a_scenario_says_what_one_call_gets(scenario: str, calls: list[tuple[int, ...]]) -> None:
    """Five requests, batches of two; the order is kept."""
    assert get_scenario(scenario).calls(range(5), 2) == [tuple(call) for call in calls]


def test_an_unknown_scenario_is_answered_with_the_nearest() -> None:
    """As all names are."""
    with pytest.raises(UsageError, match="Did you mean server"):
        get_scenario("servr")
    assert list(SCENARIOS) == ["single-stream", "batch", "offline", "server"]


def test_only_whole_batches_have_a_latency() -> None:
    """Five requests in batches of two, two passes: the third call of each pass holds one request."""
    assert whole_calls(TimedPass(range(5), [10, 20, 7, 11, 21, 8]), 2) == [10, 20, 11, 21]
    assert whole_calls(TimedPass(range(4), [10, 20, 11, 21]), 2) == [10, 20, 11, 21]
    assert whole_calls(TimedPass(range(3), [10]), 4) == []


def test_repeats_of_a_batch_are_no_further_calls() -> None:
    """Twelve different batches of two, each called twice: 12 carry a p50 (11), and no p90 (64)."""
    one, other = range(12), range(12, 24)
    windows = [TimedPass(one, [5] * 12), TimedPass(other, [5] * 6), TimedPass(other, [5] * 6)]
    found = percentiles("batch", 2, windows)
    assert (found["p50"]["have"], found["p50"]["value_ns"]) == (12, 5.0)
    assert (found["p90"]["needed"], found["p90"]["value_ns"]) == (64, None)


def test_offline_has_no_latency_and_single_requests_do() -> None:
    """Eleven requests carry a p50."""
    windows = [TimedPass(range(11), list(range(11)))]
    assert percentiles("offline", 1, windows) == {}
    assert percentiles("server", 1, windows)["p50"]["value_ns"] == 5.0
    assert percentiles("single-stream", 1, []) == {}
