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
    """And comes back from its file as it went in."""
    first = a_record("onnx", (100, 110, 120), configuration={"null_test": "onnx", "condition": "quiet"})
    asked = tuple(turn.model_copy(update={"asked_ns": (1_234_567, 500_000)}) for turn in first.rounds)
    first = first.model_copy(update={"rounds": asked})
    second = first.model_copy(update={"rounds": rounds((101, 108, 121)), "cell": first.cell})
    found = trace_of(first, second)
    assert found.wall_ns == (
        (100_000_000, 101_000_000),
        (110_000_000, 108_000_000),
        (120_000_000, 121_000_000),
    )
    assert (found.condition, found.variant, found.requests) == ("quiet", "onnx", (100, 100, 100))
    assert list(found.asked_us[2]) == [(1235, 500), ()]  # four digits are kept
    assert load(save(found, tmp_path)) == found
    assert load_all(tmp_path) == [found]


def test_two_variants_make_no_trace() -> None:
    """A trace is of a thing and itself."""
    with pytest.raises(ValueError, match="one variant"):
        trace_of(a_record("onnx"), a_record("other"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "run": "r"}'])
def test_what_is_no_trace_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """The file is named, whatever is in it."""
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=r"t\.json"):
        load(tmp_path / "t.json")
    with pytest.raises(DataError, match="the folder has no traces"):
        load_all(tmp_path / "none")


def test_a_planted_change_is_what_reports_would_have_seen() -> None:
    """Multiplying a ratio and its interval gives the same as comparing the slowed times themselves."""
    trace = a_trace(0.3, count=11)
    block = blocks_of([trace], 11)[0]
    by = block.planted.value / block.equal.value
    assert by == pytest.approx(1 / 1.05)
    times = np.asarray(trace.wall_ns, dtype=np.float64)
    requests = [each + np.log(by) for each in logs_of(trace)]
    ratios = times[:, 1] * by / times[:, 0]
    seen = paired_ratio(ratios, trace.launch, over="onnx", requests=requests)
    assert (block.planted.low, block.planted.high) == pytest.approx((seen.low, seen.high))
    assert block.planted.p == pytest.approx(seen.p)
    assert block.planted.typical == pytest.approx(seen.typical)
    assert judge(block.planted).verdict == judge(seen).verdict


def test_a_quiet_machine_finds_5_percent_and_a_noisy_one_says_nothing() -> None:
    """Requests that spread by 0.5 % need seven rounds; by 100 %, nothing is found and nothing alleged."""
    quiet = study([a_trace(0.005)], (7, 20, 61), (1, 20), times=100)
    assert [(row.rounds, row.family) for row in quiet] == [(7, 1), (7, 20), (20, 1), (20, 20)]
    assert {(row.false_alarms, row.found) for row in quiet if row.rounds == 20} == {(0.0, 1.0)}
    (noisy,) = study([a_trace(1.0)], (11,), (1,), times=100)
    assert noisy.false_alarms <= 0.05
    assert noisy.found < 0.2


def test_a_lasting_difference_is_an_alarm() -> None:
    """The study can fail: were one of two equal things slower by 8 % all along, every one shows it."""
    slow = a_trace(0.005)
    slow = replace(
        slow,
        wall_ns=tuple((one, round(1.08 * other)) for one, other in slow.wall_ns),
        asked_us=tuple((one, tuple(1.08 * time for time in other)) for one, other in slow.asked_us),
    )
    assert shares(blocks_of([slow], 20), family=1, times=50)[0] == 1.0


def test_rounds_needed_are_enough_from_there_on() -> None:
    """A lucky count followed by a worse one does not count."""
    found = [
        NullTestRow(7, 1, 0, 0.96),
        NullTestRow(11, 1, 0, 0.9),
        NullTestRow(15, 1, 0, 0.97),
        NullTestRow(20, 1, 0, 1.0),
    ]
    assert rounds_needed(found) == 15
    assert rounds_needed(found[:2]) is None


def test_rounds_are_added_until_the_interval_is_narrow() -> None:
    """Requests that spread by 1 % are known to 2 % at once; by 50 %, not within 60 rounds."""
    quiet = until_narrow([a_trace(0.01)], 0.02, first=11, step=4, times=20)
    noisy = until_narrow([a_trace(0.5)], 0.02, first=11, step=4, times=20)
    assert (quiet.reached, quiet.rounds) == (1.0, 11)
    assert noisy.reached == 0.0
    assert noisy.rounds > 11


def test_committed_traces_are_real_numbers_and_at_least_twenty() -> None:
    """Each names what was measured, when, and what disturbed it; no path, no text of an example."""
    traces = load_all(COMMITTED)
    assert len(traces) >= 20
    assert all(trace.condition and trace.processor and len(trace.wall_ns) >= 60 for trace in traces)
    assert all(min(map(min, trace.wall_ns)) > 0 for trace in traces)
    assert len({(trace.variant, trace.task, trace.threads) for trace in traces}) >= 8
    for path in COMMITTED.glob("*.json"):
        assert path.stat().st_size < 150_000
        assert set(json.loads(path.read_text())) == {"format", *Trace.__dataclass_fields__}


def test_the_stated_rate_holds_on_committed_traces() -> None:
    """At 11 rounds, 500 comparisons of a thing with itself: 1 % false alarms at most."""
    alarms, _ = shares(blocks_of(load_all(COMMITTED)[::2], 11), family=1, times=500)
    assert alarms <= 0.01


def test_a_long_trace_counts_no_more_than_a_short_one() -> None:
    """Of 60 rounds there is one block in one trace and many in the other: as many of either, both ways."""
    short, long = a_trace(0.01), a_trace(0.01, count=200)
    found = [blocks_of([trace], 60) for trace in (short, long)]
    assert len(found[0]) == len(found[1])
    assert {block.planted.value > 1 for block in found[0]} == {True, False}


def launched(lasting: float, launches: int = 6) -> Trace:
    """Return a trace of launches of ten rounds, in each of which one side is slower by so much, or faster."""
    trace = a_trace(0.005, count=10 * launches)
    launch = tuple(at // 10 for at in range(10 * launches))
    by = [1 + lasting if of % 2 else 1 / (1 + lasting) for of in launch]
    return replace(
        trace,
        launch=launch,
        wall_ns=tuple((one, round(of * two)) for of, (one, two) in zip(by, trace.wall_ns, strict=True)),
        asked_us=tuple(
            (one, tuple(of * time for time in two)) for of, (one, two) in zip(by, trace.asked_us, strict=True)
        ),
    )


def test_blocks_of_launches_are_whole_launches_in_any_choice() -> None:
    """Three of six are twenty choices, told by thirty rounds each; there is one of six, and none of seven."""
    trace = launched(0.0)
    found = launch_blocks_of([trace], 3)
    assert {block.equal.count for block in found} == {30}
    assert len({block.equal.value for block in found}) > 10
    assert {block.equal.count for block in launch_blocks_of([trace], 6)} == {60}
    assert launch_blocks_of([trace], 7) == []


def test_what_processes_differ_by_for_life_averages_out_over_launches() -> None:
    """1 % to either side: in a family of 20, one launch of ten rounds finds 5 % seldom, and six always."""
    rows = study_launches([launched(0.01)], (1, 2, 3, 6), (20,), times=50)
    assert [(row.launches, row.rounds) for row in rows] == [(1, 10), (2, 20), (3, 30), (6, 60)]
    assert rows[0].found < 0.5
    assert rows[-1].found == 1.0
    assert all(row.false_alarms == 0.0 for row in rows)


def test_traces_of_several_launches_have_tables_of_their_own() -> None:
    """By how many rounds a launch has; --precision is not replayed on them."""
    lines = report([a_trace(0.005), launched(0.0)], family=5, times=10)
    heads = [line for line in lines if line.endswith(":")]
    assert [head for head in heads if "launches" in head] == [
        "quiet, one thread, launches of 10 rounds (1 trace), one comparison:",
        "quiet, one thread, launches of 10 rounds (1 trace), 5 comparisons in one family:",
    ]
    assert "         3       30         0.00 %                100.0 %" in lines


def test_the_report_tells_quiet_from_disturbed() -> None:
    """Each has a table for one comparison and for a family, and what --precision does; last, all in a pot."""
    lines = report([a_trace(0.005), a_trace(0.1, condition="a hog")], family=5, times=10)
    assert lines[0] == "1 quiet traces and 1 disturbed ones; 10 draws for each figure."
    heads = [line for line in lines if line.endswith(":")]
    told = [head.partition(",")[0] for head in heads]
    assert told == ["quiet"] * 3 + ["disturbed"] * 3 + ["all in one pot (2 traces)"] * 2
