from dataclasses import replace

import numpy as np
import pytest
from records import a_record

from harness.analysis.comparison import quantities
from harness.analysis.comparison.base import QuantityChange, change_verdict
from harness.analysis.statistics.latency_percentiles import call_medians
from harness.analysis.statistics.multiple_testing import note_on, why_too_noisy
from harness.analysis.statistics.ratios import PairedRounds, Ratio, judge, paired_ratio, speedup
from harness.analysis.statistics.typical_request import influence_of_rounds, typical_locations
from harness.analysis.statistics.variance.model import KnownVariance
from harness.records.record import Record

WILD = (500.0, 560.0, 460.0, 520.0, 440.0, 580.0, 500.0, 480.0, 600.0, 450.0, 540.0)
WILDER = (540.0, 500.0, 520.0, 440.0, 560.0, 480.0, 460.0, 590.0, 470.0, 520.0, 460.0)
"""Milliseconds of rounds on a noisy machine."""


def test_pairs_that_nearly_agree_have_the_error_of_their_rounds() -> None:
    """So near one another all count alike: rounds 1, 1 | 2, 2 | 3, 3 (e-4) add 1, 2 and 3 (e-4)."""
    influences = influence_of_rounds([1e-4 * np.array(pair) for pair in ([1, 1], [2, 2], [3, 3])])
    assert influences == pytest.approx([1e-4, 2e-4, 3e-4], rel=1e-3)


def test_a_disturbance_has_no_weight() -> None:
    """A third of the pairs is off by 20 % or more: the rest decides."""
    influences = influence_of_rounds([np.array([0.01, 0.01, 0.21]), np.array([0.01, 0.01, -3.0])])
    assert influences is not None
    assert influences.mean() == pytest.approx(0.01, abs=2e-4)


def test_pairs_without_a_mode_have_no_ratio() -> None:
    """They are spread evenly over a factor of seven."""
    spread = [np.linspace(-1, 1, 400)] * 11
    assert influence_of_rounds(spread) is None
    assert typical_locations([(spread, [0] * 11, None)]) == [None]


def test_fewer_than_eleven_rounds_have_no_typical_ratio() -> None:
    """Requests that a time slice interrupts alike may agree by chance."""
    pairs = [np.zeros(32)] * 11
    assert typical_locations([(pairs[:10], [0] * 10, None), ([], [0] * 11, None)]) == [None, None]
    (found,) = typical_locations([(pairs, [0] * 11, None)])
    assert found is not None
    assert (found.value, found.count) == (0.0, 11)


def test_equal_pairs_differ_surely_only_beyond_what_launches_may() -> None:
    """Without noise 1 % is what another launch may show, and 20 % is not."""
    pairs, known = [np.full(32, 0.01)] * 11, KnownVariance(1e-4, 100)
    near, far = typical_locations(
        [(pairs, [0] * 11, known), ([pair + 0.2 for pair in pairs], [0] * 11, known)]
    )
    assert near is not None
    assert far is not None
    assert near.p() > 0.05
    assert far.p() < 1e-6


def _crowded(slower: float) -> tuple[list[np.ndarray[tuple[int], np.dtype[np.float64]]], Ratio]:
    """Return pairs on a machine where a third of the requests of either side take a few times as long."""
    draw = np.random.default_rng(3)
    times = 1 + 0.005 * draw.standard_normal((2, 22, 32))
    times *= np.where(draw.random(times.shape) < 0.3, 1 + draw.exponential(4, times.shape), 1.0)
    times[0] *= slower
    pairs = [np.log(other / one) for one, other in zip(*times, strict=True)]
    totals = times.sum(axis=2)
    return pairs, paired_ratio(PairedRounds(totals[1] / totals[0], [0] * 22, "torch", pairs))


def test_requests_detect_five_percent_where_totals_are_too_noisy() -> None:
    """The interval of the totals includes 1; the typical request is slower by 5 %, and a note states it."""
    pairs, ratio = _crowded(1.05)
    assert ratio.totals is not None
    assert ratio.totals[1] < 1 < ratio.totals[2]
    assert judge(ratio).verdict == "slower"
    assert ratio.high < 1
    assert ratio.value == pytest.approx(1 / 1.05, rel=0.01)
    even = paired_ratio(PairedRounds([1.0 + 1e-6 * (at % 3) for at in range(22)], [0] * 22, "torch", pairs))
    assert judge(even).verdict == "no change"
    note = note_on(ratio) or ""
    assert note.startswith("the typical request, paired by request; of totals 0.9")


def test_equal_systems_are_no_change_even_there() -> None:
    """An interval within the tolerance is evidence, which totals do not give."""
    _, ratio = _crowded(1.0)
    assert judge(ratio).verdict == "no change"
    assert ratio.p is not None
    assert ratio.p > 0.1


def test_totals_decide_where_requests_gain_differently() -> None:
    """Two of three requests take a tenth, one the same: the typical ratio is 10x, that of totals 2.5x."""
    pairs = [np.log([10.0, 10.0, 1.0])] * 11
    ratio = paired_ratio(PairedRounds([2.5 + 0.01 * (at % 3) for at in range(11)], [0] * 11, "torch", pairs))
    assert ratio.totals is None
    assert judge(ratio).verdict == "faster"
    assert note_on(ratio) is None


def test_totals_decide_where_they_are_more_precise() -> None:
    """Half of the requests gain and half lose, as in a cascade: the typical pair may be either."""
    pairs = [np.log([4.0] * (16 + at % 2) + [0.9] * (16 - at % 2)) for at in range(11)]
    ratio = paired_ratio(PairedRounds([1.5 + 0.01 * (at % 3) for at in range(11)], [0] * 11, "torch", pairs))
    assert ratio.totals is None
    assert judge(ratio).verdict == "faster"


def test_totals_decide_where_the_machine_changed_its_speed_between_visits() -> None:
    """Of equal systems: most pairs agree on 1.2, but ratios of rounds are between 0.7 and 1.7."""
    states = [1.2, 0.7, 1.75, 0.75, 1.7, 0.7, 1.2, 1.75, 0.7, 1.0, 1.7]
    pairs = [np.log([1.2] * 20) + 0.001 * (at % 3) for at in range(len(states))]
    ratio = paired_ratio(PairedRounds(states, [0] * len(states), "torch", pairs))
    assert ratio.high > 1.3 * ratio.low
    assert ratio.totals is None
    assert judge(ratio).verdict == "too noisy"


def test_without_a_typical_ratio_or_precise_totals_the_verdict_is_too_noisy() -> None:
    """A sentence states the reason."""
    ratios = [0.5, 1.0, 2.0, 1.0]
    ratio = paired_ratio(PairedRounds(ratios, [0] * 4, "torch", [np.log([0.7, 1.0, 1.4])] * 4))
    assert judge(ratio).verdict == "too noisy"
    assert "includes both no change" in why_too_noisy(ratio)


def _asked(record: Record, milliseconds: float) -> Record:
    """Return the record with 20 requests a round, each of so many milliseconds."""
    asked_ns = (round(milliseconds * 1e6),) * 20
    turns = tuple(replace(turn, asked_ns=asked_ns) for turn in record.rounds)
    cell = record.cell.model_copy(update={"threads": 1})
    return record.model_copy(update={"rounds": turns, "cell": cell})


def test_a_record_is_paired_by_request_and_an_older_one_by_totals() -> None:
    """Ratios of totals are between 0.8x and 1.2x; requests took 5 ms and 5.4 ms."""
    system, reference = a_record("onnx", WILD), a_record("torch", WILDER)
    ratio = speedup(_asked(system, 5), _asked(reference, 5.4))
    assert isinstance(ratio, Ratio)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.08, 1.08, 1.08))
    assert judge(ratio).verdict == "faster"
    older = speedup(_asked(system, 5).model_copy(update={"rounds": system.rounds}), _asked(reference, 5.4))
    assert isinstance(older, Ratio)
    assert older.totals is None


def test_threads_that_share_a_request_are_compared_by_totals() -> None:
    """They wait for one another, and pairs agree on what the machine does to them."""
    several = [
        record.model_copy(update={"cell": record.cell.model_copy(update={"threads": 2})})
        for record in (_asked(a_record("onnx", WILD), 5), _asked(a_record("torch", WILDER), 5.4))
    ]
    ratio = speedup(*several)
    assert isinstance(ratio, Ratio)
    assert ratio.totals is None


def test_a_gate_compares_typical_requests_too() -> None:
    """Throughput before and after is that of totals; the change is that of the requests, see its note."""
    before, after = a_record("torch", WILDER), a_record("onnx", WILD)
    ratio = quantities.quantity_change("throughput", _asked(before, 5.4), _asked(after, 5))
    assert isinstance(ratio, QuantityChange)
    assert ratio.change.value == pytest.approx(8)
    assert ratio.note == quantities.BY_REQUEST
    assert change_verdict(ratio) == "better"


def test_a_requests_time_in_a_visit_is_the_median_over_passes() -> None:
    """Three passes over two requests; one call a visit, or arrivals at a rate, pair no requests."""
    assert call_medians("single-stream", 3, [5, 10, 7, 30, 6, 11]) == (6, 11)
    assert call_medians("offline", 1, [5]) == call_medians("single-stream", 2, [5, 6]) == ()
    assert call_medians("server", 1, [5, 10]) == ()
