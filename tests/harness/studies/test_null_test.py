from pathlib import Path

import numpy as np
import pytest
from null_traces import a_trace, slowed

from harness.analysis.statistics.ratios import judge, paired_ratio
from harness.analysis.statistics.variance.model import KnownVariance
from harness.cli.measure.null_traces import main, report, simulated, validating
from harness.studies import null_test
from harness.studies.host_variance import NullDifference, learn, missing_variance
from harness.studies.null_followup import replay_advice, replay_precision
from harness.studies.null_test import Count, Shape, blocks, disjoint_pairs, family_of, study
from harness.studies.simulated_noise import Noise, coverage
from harness.studies.traces import Trace, load_all

COMMITTED = Path(__file__).parents[3] / "results" / "traces"


def _unknown(trace: Trace) -> tuple[None, None]:
    del trace
    return None, None


def test_blocks_share_no_round() -> None:
    """Two launches of 12: two blocks of 5 in each, one of 11, and one of both launches."""
    trace = a_trace(0.01, count=24, rounds=12)
    fives = [row for block in blocks(trace, Shape(1, 5)) for row in block]
    assert fives == [*range(10), *range(12, 22)]
    assert list(blocks(trace, Shape(1, 11))) == [list(range(11)), list(range(12, 23))]
    assert list(blocks(trace, Shape(2, 10))) == [[*range(10), *range(12, 22)]]
    assert list(blocks(trace, Shape(3, 10))) == []


def test_comparisons_share_no_cell_and_a_family_shares_its_reference() -> None:
    """Six copies are three pairs, and five comparisons with the first."""
    trace = a_trace(0.01, count=5, cells=6)
    assert len(disjoint_pairs(trace, range(5), _unknown)) == 3
    assert len(family_of(trace, range(5), _unknown)) == 5


def test_a_planted_change_equals_the_comparison_of_slowed_times() -> None:
    """As reports would compute it: the system takes 1.05 times as long, request by request and in all."""
    trace = a_trace(0.02, count=11)
    (pair,) = disjoint_pairs(trace, range(11), _unknown)
    (late,) = disjoint_pairs(slowed(trace, 1, [1.05] * 11), range(11), _unknown)
    planted, expected = paired_ratio(null_test.slowed(pair, 1.05)), paired_ratio(late)
    assert (planted.low, planted.value, planted.high) == pytest.approx(
        (expected.low, expected.value, expected.high), rel=1e-5
    )
    assert judge(planted).verdict == judge(expected).verdict


def test_a_quiet_machine_detects_5_percent_and_a_noisy_one_does_not() -> None:
    """Requests that spread by 0.5 % show it; by 100 %, there is neither power nor a false difference."""
    quiet = study([a_trace(0.005)], Shape(1, 11), _unknown, family=13)
    noisy = study([a_trace(1.0)], Shape(1, 11), _unknown, family=13)
    assert quiet is not None
    assert noisy is not None
    assert (quiet.alarms, quiet.found[1.05], quiet.found_in_family[1.05]) == (
        Count(0, 5),
        Count(5, 5),
        Count(5, 5),
    )
    assert noisy.alarms == Count(0, 5)
    assert noisy.found[1.05].hits <= 1
    assert study([a_trace(0.005)], Shape(2, 10), _unknown, family=13) is None


def test_a_lasting_difference_is_an_alarm_and_no_interval_holds_1() -> None:
    """The study can fail: one side is slower by 8 % in all rounds."""
    row = study([slowed(a_trace(0.005), 1, [1.08] * 60)], Shape(1, 20), _unknown, family=13)
    assert row is not None
    assert (row.alarms.rate, row.covered.rate, row.families.rate) == (1.0, 0.0, 1.0)


def test_rates_have_exact_bounds() -> None:
    """0 of 20: at most 1 - 0.05^(1/20) = 13.9 % one-sided, 1 - 0.025^(1/20) = 16.8 % two-sided."""
    assert Count(0, 20).at_most == pytest.approx(1 - 0.05 ** (1 / 20))
    assert Count(0, 20).interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert Count(20, 20).interval[1] == 1.0


def test_advice_is_looked_for_in_launches_that_were_not_used() -> None:
    """Five rounds of 3 % do not find 5 %; what they advise is in the other launches."""
    trace = a_trace(0.03, count=400, rounds=100, seed=3)
    row = replay_advice([trace], _unknown, Shape(1, 5), 1.05, family=13)
    assert row.noted.units > 20
    assert 0.5 <= row.kept.rate <= 1.0


def test_rounds_are_added_until_the_interval_is_narrow() -> None:
    """Requests that spread by 1 % are known to 2 % at once; by 50 %, not within 60 rounds."""
    quiet = replay_precision([a_trace(0.01)], _unknown, 0.02)
    noisy = replay_precision([a_trace(0.5)], _unknown, 0.02)
    assert (quiet.reached.rate, quiet.rounds) == (1.0, 11)
    assert noisy.reached.rate == 0.0
    assert noisy.rounds > 11


def test_the_missing_variance_is_the_smallest_that_covers_95_percent() -> None:
    """Differences that spread by 1 % with hardly any variance of their own: about 1 %."""
    drawn = 0.01 * np.random.default_rng(0).standard_normal(400)
    known = missing_variance([NullDifference(value, 1e-8, 20, 1) for value in drawn])
    assert known.variance**0.5 == pytest.approx(0.01, rel=0.1)
    twice = missing_variance([NullDifference(value, 1e-8, 20, 2) for value in drawn])
    assert twice.variance == pytest.approx(known.variance / 2, rel=0.1)
    assert missing_variance([]).variance == 0.0


def test_what_launches_differ_by_is_learnt_from_them() -> None:
    """Launches of ten rounds in which one side is slower or faster by 1 %: about that is missing."""
    factors = [1.01 if at // 10 % 2 else 1 / 1.01 for at in range(120)]
    (host,) = learn([slowed(a_trace(0.001, count=120, rounds=10), 1, factors)])
    assert (host.processor, host.threads) == ("cpu", "one")
    assert host.ratio.variance**0.5 == pytest.approx(0.005, abs=0.003)


def test_committed_traces_carry_what_method_md_says() -> None:
    """No variance is learnt from what validates, and intervals of 11 rounds hold 1 as stated."""
    traces = [trace for trace in validating(load_all(COMMITTED)) if trace.is_null_test]
    row = study(traces[::3], Shape(1, 11), _unknown, family=13)
    assert row is not None
    assert row.covered.interval[0] <= 0.95 <= row.covered.interval[1] + 0.02
    assert row.alarms.rate <= 0.04


@pytest.mark.parametrize(
    "noise", [Noise("normal"), Noise("alike", correlation=0.5), Noise("tails", freedom=3)]
)
def test_simulated_intervals_hold_the_true_value_about_as_often_as_stated(noise: Noise) -> None:
    """22 rounds, 2,000 draws: within 93 and 97 %."""
    assert 0.93 <= coverage(noise, Shape(1, 22), 2000).covered.rate <= 0.97


def test_known_launches_are_covered_where_they_differ() -> None:
    """As much as rounds do: without them one launch would hold the value in a third of cases."""
    noise = Noise("launches", launches=1.0)
    assert 0.93 <= coverage(noise, Shape(1, 10), 1000).covered.rate <= 0.99
    assert coverage(noise, Shape(1, 10), 1000).noise.launches ** 2 == KnownVariance(1.0, 16).variance


def test_the_report_separates_quiet_from_disturbed_traces_and_threads() -> None:
    """Each has a table of coverage, of power, and lines on advice and precision."""
    lines = list(report([a_trace(0.005), a_trace(0.1, condition="a hog")], family=5))
    assert [line for line in lines if line.endswith("(1 trace)")] == [
        "quiet, one thread (1 trace)",
        "disturbed, one thread (1 trace)",
    ]
    assert sum("slow-downs found, alone and of 5" in line for line in lines) == 2
    assert sum("--precision" in line for line in lines) == 4


def test_the_program_prints_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The constants that the package holds are those that the committed traces give."""
    main([str(COMMITTED), "--known"])
    from harness.analysis.statistics.variance.known_hosts import FILE

    assert capsys.readouterr().out == FILE.read_text()
    assert len(list(simulated(50))) == 7
