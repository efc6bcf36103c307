import math

import numpy as np
import pytest
from records import a_record

from harness.analysis.comparison import quantities
from harness.analysis.comparison.base import QuantityChange, change_verdict
from harness.analysis.statistics.latency_percentiles import call_medians
from harness.analysis.statistics.multiple_testing import typical_request_note, why_too_noisy
from harness.analysis.statistics.ratios import Ratio, judge, paired_ratio, speedup
from harness.analysis.statistics.significance import LAUNCH_FREEDOM, LAUNCH_SPREAD, p_value_of_mean
from harness.analysis.statistics.typical_request import TypicalRatio, density_peak, typical_ratio
from harness.records.record import Record

ONE = np.zeros(3, dtype=np.int64)

WILD = (500.0, 560.0, 460.0, 520.0, 440.0, 580.0, 500.0, 480.0, 600.0, 450.0, 540.0)
WILDER = (540.0, 500.0, 520.0, 440.0, 560.0, 480.0, 460.0, 590.0, 470.0, 520.0, 460.0)
"""Milliseconds of rounds on a noisy machine."""


def test_pairs_that_nearly_agree_have_the_error_of_their_rounds() -> None:
    """So near one another all count alike, and the peak is the mean: 2e-4 of rounds 1, 1 | 2, 2 | 3, 3 (e-4).

    Rounds pull by -2, 0 and 2: their variance is 4, of the sum of three 12; six pairs count six. Rounds 1, 3
    | 2, 2 | 3, 1 pull by nothing, and six pairs alone by 1 + 1 + 0 + 0 + 1 + 1 = 4.
    """
    peak, variance = density_peak([1e-4 * np.array(pair) for pair in ([1, 1], [2, 2], [3, 3])], ONE)
    assert (peak, variance) == pytest.approx((2e-4, 12e-8 / 36), rel=1e-3)
    _, variance = density_peak([1e-4 * np.array(pair) for pair in ([1, 3], [2, 2], [3, 1])], ONE)
    assert variance == pytest.approx(4e-8 / 36, rel=1e-3)


def test_a_disturbance_has_no_weight() -> None:
    """A third of the pairs is off by 20 % or more: the rest decides."""
    peak, _ = density_peak([np.array([0.01, 0.01, 0.21]), np.array([0.01, 0.01, -3.0])], ONE[:2])
    assert peak == pytest.approx(0.01, abs=2e-4)


def test_pairs_without_a_mode_have_no_ratio() -> None:
    """They are spread evenly over a factor of seven."""
    assert density_peak([np.linspace(-1, 1, 400)] * 3, ONE)[1] == math.inf
    assert typical_ratio([np.linspace(-1, 1, 400)] * 11, [0] * 11, 0.95) is None


def test_fewer_than_eleven_rounds_have_no_typical_ratio() -> None:
    """Requests that a time slice interrupts alike may agree by chance."""
    assert typical_ratio([np.zeros(32)] * 10, [0] * 10, 0.95) is None


def test_the_p_value_of_a_mean_combines_degrees_of_freedom() -> None:
    """Variances 3 and 1 of 3 and 1 degrees of freedom: the sum is 4, its freedom 16 / (9 / 3 + 1 / 1) = 4.

    t = 4 / 2 = 2 on 4 degrees of freedom, where the two-sided p-value is 0.1161.
    """
    assert p_value_of_mean(4.0, (3.0, 3.0), (1.0, 1.0)) == pytest.approx(0.116117, abs=1e-6)


def test_equal_pairs_differ_surely_only_beyond_what_launches_may() -> None:
    """Without noise 1 % is what another launch may show, and 20 % is beyond warning."""
    pairs = [np.full(32, 0.01)] * 11
    alone = p_value_of_mean(0.01, (LAUNCH_SPREAD**2, LAUNCH_FREEDOM))
    one, far = (typical_ratio([pair + by for pair in pairs], [0] * 11, 0.95) for by in (0, 0.2))
    assert isinstance(one, TypicalRatio)
    assert isinstance(far, TypicalRatio)
    assert one.p == pytest.approx(alone)
    assert alone > 0.05
    assert far.p < 1e-6


def _crowded(slower: float) -> tuple[list[np.ndarray[tuple[int], np.dtype[np.float64]]], Ratio]:
    """Return pairs on a machine where a third of the requests of either side take a few times as long."""
    draw = np.random.default_rng(3)
    times = 1 + 0.005 * draw.standard_normal((2, 22, 32))
    times *= np.where(draw.random(times.shape) < 0.3, 1 + draw.exponential(2, times.shape), 1.0)
    times[0] *= slower
    pairs = [np.log(other / one) for one, other in zip(*times, strict=True)]
    totals = times.sum(axis=2)
    return pairs, paired_ratio(totals[1] / totals[0], [0] * 22, over="torch", requests=pairs)


def test_requests_detect_five_percent_where_totals_are_too_noisy() -> None:
    """The interval of the totals includes 1; the typical request is slower by 5 %, and a note states it."""
    pairs, ratio = _crowded(1.05)
    assert ratio.low < 1 < ratio.high
    assert judge(ratio).verdict == "slower"
    assert ratio.typical == pytest.approx((1 / 1.05,) * 3, rel=0.01)
    assert judge(paired_ratio([1.0] * 22, [0] * 22, over="torch", requests=pairs)).verdict == "no change"
    note = typical_request_note(ratio) or ""
    assert note.startswith("slower, by the ratio of the typical request, paired by request: 0.95")


def test_equal_systems_are_no_change_even_there() -> None:
    """An interval within the tolerance is evidence, which totals do not give."""
    _, ratio = _crowded(1.0)
    assert judge(ratio).verdict == "no change"
    assert ratio.p is not None
    assert ratio.p > 0.1


def test_totals_decide_where_requests_gain_differently() -> None:
    """Two of three requests take a tenth, one the same: the typical ratio is 10x, that of totals 2.5x."""
    pairs = [np.log([10.0, 10.0, 1.0])] * 11
    ratio = paired_ratio([2.5 + 0.01 * (at % 3) for at in range(11)], [0] * 11, over="torch", requests=pairs)
    assert ratio.typical is None
    assert judge(ratio).verdict == "faster"
    assert typical_request_note(ratio) is None


def test_totals_decide_where_they_are_more_precise() -> None:
    """Half of the requests gain and half lose, as in a cascade: the typical pair may be either."""
    pairs = [np.log([4.0] * (16 + at % 2) + [0.9] * (16 - at % 2)) for at in range(11)]
    ratio = paired_ratio([1.5 + 0.01 * (at % 3) for at in range(11)], [0] * 11, over="torch", requests=pairs)
    assert ratio.typical is None
    assert judge(ratio).verdict == "faster"


def test_totals_decide_where_the_machine_changed_its_speed_between_visits() -> None:
    """Of equal systems: most pairs agree on 1.2, but ratios of rounds are between 1 and 1.7."""
    states = [1.2, 1.0, 1.75, 1.2, 1.7, 1.0, 1.2, 1.75, 1.2, 1.0, 1.7]
    pairs = [np.log([1.2] * 20) + 0.001 * (at % 3) for at in range(len(states))]
    ratio = paired_ratio(states, [0] * len(states), over="torch", requests=pairs)
    assert ratio.high > 1.5 * ratio.low
    assert ratio.typical is None
    assert judge(ratio).verdict == "too noisy"


def test_without_a_typical_ratio_or_precise_totals_the_verdict_is_too_noisy() -> None:
    """A sentence states the reason."""
    ratios = [0.5, 1.0, 2.0, 1.0]
    ratio = paired_ratio(ratios, [0] * 4, over="torch", requests=[np.log([0.7, 1.0, 1.4])] * 4)
    assert judge(ratio).verdict == "too noisy"
    assert "includes both no change" in why_too_noisy(ratio)


def _asked(record: Record, milliseconds: float) -> Record:
    """Return the record with 20 requests a round, each of so many milliseconds."""
    asked_ns = (round(milliseconds * 1e6),) * 20
    turns = tuple(turn.model_copy(update={"asked_ns": asked_ns}) for turn in record.rounds)
    return record.model_copy(update={"rounds": turns})


def test_a_record_is_paired_by_request_and_an_older_one_by_totals() -> None:
    """Ratios of totals are between 0.8x and 1.2x; requests took 5 ms and 6 ms."""
    system, reference = a_record("onnx", WILD), a_record("torch", WILDER)
    ratio = speedup(_asked(system, 5), _asked(reference, 6))
    assert isinstance(ratio, Ratio)
    assert ratio.typical == pytest.approx((1.2, 1.2, 1.2))
    assert judge(ratio).verdict == "faster"
    older = speedup(system, _asked(reference, 6))
    assert isinstance(older, Ratio)
    assert older.typical is None


def test_a_gate_compares_typical_requests_too() -> None:
    """Throughput before and after is that of totals; the change is that of the requests, see its note."""
    before, after = a_record("torch", WILDER), a_record("onnx", WILD)
    ratio = quantities.quantity_change("throughput", _asked(before, 6), _asked(after, 5))
    assert isinstance(ratio, QuantityChange)
    assert ratio.change.value == pytest.approx(20)
    assert ratio.note == quantities.BY_REQUEST
    assert change_verdict(ratio) == "better"


def test_a_requests_time_in_a_visit_is_the_median_over_passes() -> None:
    """Three passes over two requests; one call a visit, or arrivals at a rate, pair no requests."""
    assert call_medians("single-stream", 3, [5, 10, 7, 30, 6, 11]) == (6, 11)
    assert call_medians("offline", 1, [5]) == call_medians("single-stream", 2, [5, 6]) == ()
    assert call_medians("server", 1, [5, 10]) == ()
