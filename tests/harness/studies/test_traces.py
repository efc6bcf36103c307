import json
from dataclasses import replace
from pathlib import Path

import pytest
from null_traces import a_trace
from records import a_record, rounds

from harness.common.errors import DataError
from harness.studies.traces import Trace, load, load_all, save, trace_of

COMMITTED = Path(__file__).parents[3] / "results" / "traces"


def test_a_trace_holds_the_windows_of_all_cells_in_order(tmp_path: Path) -> None:
    """Its file holds the same trace."""
    first = a_record("onnx", (100, 110, 120), configuration={"null_test": "onnx", "condition": "quiet"})
    asked = tuple(replace(turn, asked_ns=(1_234_567, 500_000)) for turn in first.rounds)
    first = first.model_copy(update={"rounds": asked})
    second = first.model_copy(update={"rounds": rounds((101, 108, 121)), "cell": first.cell})
    result = trace_of([first, second, first])
    assert result.wall_ns[0] == (100_000_000, 101_000_000, 100_000_000)
    assert result.wall_ns[2] == (120_000_000, 121_000_000, 120_000_000)
    assert (result.condition, result.variant, result.requests[0]) == ("quiet", "onnx", (100, 100, 100))
    assert (result.cells, result.is_null_test) == (3, True)
    assert list(result.asked_us[2]) == [(1235, 500), (), (1235, 500)]  # four digits are kept
    assert load(save(result, tmp_path)) == result
    assert load_all(tmp_path) == [result]


def test_one_record_or_two_groups_are_no_trace() -> None:
    """A trace is of cells that were measured side by side."""
    with pytest.raises(ValueError, match="of one group"):
        trace_of([a_record("onnx")])
    with pytest.raises(ValueError, match="of one group"):
        trace_of([a_record("onnx"), a_record("onnx", run="another")])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "run": "r"}'])
def test_an_invalid_trace_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    """For any content of the file."""
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=r"t\.json"):
        load(tmp_path / "t.json")
    with pytest.raises(DataError, match="the folder has no traces"):
        load_all(tmp_path / "none")


def test_an_older_trace_tells_the_requests_of_both_windows(tmp_path: Path) -> None:
    """It held those of the first only, although a faster window holds more passes over its requests.

    Two requests of 10 us: the first window holds 3 passes (60 us), the second 4 (80 us).
    """
    fields = json.loads(save(a_trace(0.01, count=3), tmp_path).read_text())
    older = {**fields, "format": 2, "variant": "onnx", "leads": [0, 1, 0], "requests": [6, 6, 6]}
    older |= {"asked_us": [[[10, 10], [10, 10]]] * 3, "wall_ns": [[60_300, 80_400]] * 3}
    del older["variants"]
    (tmp_path / "older.json").write_text(json.dumps(older))
    trace = load(tmp_path / "older.json")
    assert trace.variants == ("onnx", "onnx")
    assert trace.requests == ((6, 8),) * 3


def test_committed_traces_are_real_numbers_and_at_least_twenty() -> None:
    """Each holds what was measured, when, and under which condition; no path, no text of an example."""
    traces = load_all(COMMITTED)
    assert len(traces) >= 20
    assert all(trace.condition and trace.processor and len(trace.wall_ns) >= 16 for trace in traces)
    assert all(min(map(min, trace.wall_ns)) > 0 for trace in traces)
    assert len({(trace.variant, trace.task, trace.threads) for trace in traces}) >= 8
    for path in COMMITTED.glob("*.json"):
        assert path.stat().st_size < 150_000
        fields = json.loads(path.read_text())
        wanted = {"format", *Trace.__dataclass_fields__}
        assert set(fields) == (
            wanted if fields["format"] == 3 else wanted - {"variants"} | {"variant", "leads"}
        )


def test_a_trace_of_several_variants_is_no_null_test() -> None:
    """Its ratios are not truly 1."""
    assert not replace(a_trace(0.01), variants=("onnx", "torch")).is_null_test
