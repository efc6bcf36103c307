"""Service times are what is left of latencies when waiting is taken away."""

import numpy as np
import pytest
from records import a_record

from harness.analysis.capacity.service_times import service_times
from harness.records.estimate import Unavailable


@pytest.mark.parametrize("rounds", [[0, 0, 1, 1], [0, 1, 2, 9]])
def test_samples_of_other_rounds_show_no_service_times(rounds: list[int]) -> None:
    """A record of three rounds; the samples lack one, or hold a fourth."""
    record = a_record(wall_ms=(500.0, 510.0, 520.0))
    calls = {"call_ns": np.arange(1, 5), "call_round": np.array(rounds), "timed_example": np.arange(4)}
    result = service_times(record, calls)
    assert isinstance(result, Unavailable)
    assert result.reason == "its raw samples are of other rounds than the record's"


def test_samples_without_rounds_show_no_service_times() -> None:
    """What is missing is named."""
    result = service_times(a_record(wall_ms=(500.0, 510.0)), {"call_ns": np.arange(4)})
    assert isinstance(result, Unavailable)
    assert result.reason == "its raw samples lack call_round, timed_example"
