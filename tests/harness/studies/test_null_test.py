import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from null_traces import a_trace
from records import a_record, rounds

from harness.analysis.statistics.ratios import judge, paired_ratio
from harness.cli.measure.null_traces import report
from harness.common.errors import DataError
from harness.studies.null_test import (
    NullTestRow,
    blocks_of,
    launch_blocks_of,
    logs_of,
    rounds_needed,
    shares,
    study,
    study_launches,
    until_narrow,
)
from harness.studies.traces import Trace, load, load_all, save, trace_of

COMMITTED = Path(__file__).parents[3] / "results" / "traces"


def test_a_trace_holds_the_windows_of_both_cells_in_order(tmp_path: Path) -> None:
    """Its file holds the same trace."""
    first = a_record("onnx", (100, 110, 120), configuration={"null_test": "onnx", "condition": "quiet"})
    asked = tuple(turn.model_copy(update={"asked_ns": (1_234_567, 500_000)}) for turn in first.rounds)
    first = first.model_copy(update={"rounds": asked})
    second = first.model_copy(update={"rounds": rounds((101, 108, 121)), "cell": first.cell})
    result = trace_of(first, second)
    assert result.wall_ns == (
        (100_000_000, 101_000_000),
        (110_000_000, 108_000_000),
        (120_000_000, 121_000_000),
    )
    assert (result.condition, result.variant, result.requests) == ("quiet", "onnx", (100, 100, 100))
    assert list(result.asked_us[2]) == [(1235, 500), ()]  # four digits are kept
    assert load(save(result, tmp_path)) == result
    assert load_all(tmp_path) == [result]


def test_records_of_two_variants_are_refused() -> None:
    """A trace is of one variant."""
    with pytest.raises(ValueError, match="one variant"):
        trace_of(a_record("onnx"), a_record("other"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "run": "r"}'])
def test_an_invalid_trace_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    """For any content of the file."""
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=r"t\.json"):
        load(tmp_path / "t.json")
    with pytest.raises(DataError, match="the folder has no traces"):
        load_all(tmp_path / "none")


def test_a_planted_change_equals_the_comparison_of_slowed_times() -> None:
    """As reports would compute it."""
    trace = a_trace(0.3, count=11)
    block = blocks_of([trace], 11)[0]
    factor = block.planted.value / block.equal.value
    assert factor == pytest.approx(1 / 1.05)
    times = np.asarray(trace.wall_ns, dtype=np.float64)
    requests = [each + np.log(factor) for each in logs_of(trace)]
    ratios = times[:, 1] * factor / times[:, 0]
    expected = paired_ratio(ratios, trace.launch, over="onnx", requests=requests)
    assert (block.planted.low, block.planted.high) == pytest.approx((expected.low, expected.high))
    assert block.planted.p == pytest.approx(expected.p)
    assert block.planted.typical == pytest.approx(expected.typical)
    assert judge(block.planted).verdict == judge(expected).verdict


def test_a_quiet_machine_detects_5_percent_and_a_noisy_one_does_not() -> None:
    """Requests that spread by 0.5 % need seven rounds; by 100 %, there is neither power nor a false alarm."""
    quiet = study([a_trace(0.005)], (7, 20, 61), (1, 20), times=100)
    assert [(row.rounds, row.family) for row in quiet] == [(7, 1), (7, 20), (20, 1), (20, 20)]
    assert {(row.false_alarms, row.found) for row in quiet if row.rounds == 20} == {(0.0, 1.0)}
    (noisy,) = study([a_trace(1.0)], (11,), (1,), times=100)
    assert noisy.false_alarms <= 0.05
    assert noisy.found < 0.2


def test_a_lasting_difference_is_an_alarm() -> None:
    """The study can fail: if one side is slower by 8 % in all rounds, every comparison is an alarm."""
    slow = a_trace(0.005)
    slow = replace(
        slow,
        wall_ns=tuple((one, round(1.08 * other)) for one, other in slow.wall_ns),
        asked_us=tuple((one, tuple(1.08 * time for time in other)) for one, other in slow.asked_us),
    )
    assert shares(blocks_of([slow], 20), family=1, times=50)[0] == 1.0


def test_rounds_needed_are_enough_from_there_on() -> None:
    """A count that reaches the power by chance, followed by one that does not, is skipped."""
    result = [
        NullTestRow(7, 1, 0, 0.96),
        NullTestRow(11, 1, 0, 0.9),
        NullTestRow(15, 1, 0, 0.97),
        NullTestRow(20, 1, 0, 1.0),
    ]
    assert rounds_needed(result) == 15
    assert rounds_needed(result[:2]) is None


def test_rounds_are_added_until_the_interval_is_narrow() -> None:
    """Requests that spread by 1 % are known to 2 % at once; by 50 %, not within 60 rounds."""
    quiet = until_narrow([a_trace(0.01)], 0.02, first=11, step=4, times=20)
    noisy = until_narrow([a_trace(0.5)], 0.02, first=11, step=4, times=20)
    assert (quiet.reached, quiet.rounds) == (1.0, 11)
    assert noisy.reached == 0.0
    assert noisy.rounds > 11


def test_committed_traces_are_real_numbers_and_at_least_twenty() -> None:
    """Each holds what was measured, when, and under which condition; no path, no text of an example."""
    traces = load_all(COMMITTED)
    assert len(traces) >= 20
    assert all(trace.condition and trace.processor and len(trace.wall_ns) >= 60 for trace in traces)
    assert all(min(map(min, trace.wall_ns)) > 0 for trace in traces)
    assert len({(trace.variant, trace.task, trace.threads) for trace in traces}) >= 8
    for path in COMMITTED.glob("*.json"):
        assert path.stat().st_size < 150_000
        assert set(json.loads(path.read_text())) == {"format", *Trace.__dataclass_fields__}


def test_the_stated_rate_holds_on_committed_traces() -> None:
    """At 11 rounds, 500 comparisons of a variant with itself: at most 1 % false alarms."""
    alarms, _ = shares(blocks_of(load_all(COMMITTED)[::2], 11), family=1, times=500)
    assert alarms <= 0.01


def test_a_long_trace_has_the_weight_of_a_short_one() -> None:
    """Of 60 rounds there is one block in one trace and many in the other: equally many of both are drawn."""
    short, long = a_trace(0.01), a_trace(0.01, count=200)
    result = [blocks_of([trace], 60) for trace in (short, long)]
    assert len(result[0]) == len(result[1])
    assert {block.planted.value > 1 for block in result[0]} == {True, False}


def launched(lasting: float, launches: int = 6) -> Trace:
    """Return a trace of launches of ten rounds, in which one side is slower or faster by `lasting`."""
    trace = a_trace(0.005, count=10 * launches)
    launch = tuple(at // 10 for at in range(10 * launches))
    factors = [1 + lasting if number % 2 else 1 / (1 + lasting) for number in launch]
    walls = zip(factors, trace.wall_ns, strict=True)
    requests = zip(factors, trace.asked_us, strict=True)
    return replace(
        trace,
        launch=launch,
        wall_ns=tuple((first, round(factor * second)) for factor, (first, second) in walls),
        asked_us=tuple(
            (first, tuple(factor * time for time in second)) for factor, (first, second) in requests
        ),
    )


def test_blocks_of_launches_are_whole_launches_in_any_choice() -> None:
    """Three of six launches are twenty choices of thirty rounds; six of six are one, and seven none."""
    trace = launched(0.0)
    result = launch_blocks_of([trace], 3)
    assert {block.equal.count for block in result} == {30}
    assert len({block.equal.value for block in result}) > 10
    assert {block.equal.count for block in launch_blocks_of([trace], 6)} == {60}
    assert launch_blocks_of([trace], 7) == []


def test_a_difference_between_processes_averages_out_over_launches() -> None:
    """1 % to either side: in a family of 20, one launch of ten rounds rarely detects 5 %, six always do."""
    rows = study_launches([launched(0.01)], (1, 2, 3, 6), (20,), times=50)
    assert [(row.launches, row.rounds) for row in rows] == [(1, 10), (2, 20), (3, 30), (6, 60)]
    assert rows[0].found < 0.5
    assert rows[-1].found == 1.0
    assert all(row.false_alarms == 0.0 for row in rows)


def test_traces_of_several_launches_have_tables_of_their_own() -> None:
    """By the number of rounds in a launch; --precision is not replayed on them."""
    lines = report([a_trace(0.005), launched(0.0)], family=5, times=10)
    heads = [line for line in lines if line.endswith(":")]
    assert [head for head in heads if "launches" in head] == [
        "quiet, one thread, launches of 10 rounds (1 trace), one comparison:",
        "quiet, one thread, launches of 10 rounds (1 trace), 5 comparisons in one family:",
    ]
    assert "         3       30         0.00 %                100.0 %" in lines


def test_the_report_separates_quiet_from_disturbed_traces() -> None:
    """Each has tables for one comparison and for a family, and one for --precision; the last is for all."""
    lines = report([a_trace(0.005), a_trace(0.1, condition="a hog")], family=5, times=10)
    assert lines[0] == "1 quiet traces and 1 disturbed ones; 10 draws for each figure."
    heads = [line for line in lines if line.endswith(":")]
    headings = [head.partition(",")[0] for head in heads]
    assert headings == ["quiet"] * 3 + ["disturbed"] * 3 + ["all in one pot (2 traces)"] * 2
