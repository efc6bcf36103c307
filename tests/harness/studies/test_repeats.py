from records import a_record

from harness.analysis.comparison import SampleAccess
from harness.records.record import Record
from harness.studies.repeats import repeated

NOISE = (500.0, 505.0, 497.0, 503.0, 499.0, 501.0, 502.0)


def _run(name: str, factor: float = 1.0) -> list[Record]:
    """Return two variants of a run, both slower by this factor; the second takes half the time."""
    first, second = ([factor * share * wall for wall in NOISE] for share in (1.0, 0.5))
    return [a_record("torch", first, run=name), a_record("onnx", tuple(reversed(second)), run=name)]


def test_runs_that_repeat_one_another_are_within_their_standard_errors() -> None:
    """Two pairs of runs of the same times: nothing differs."""
    found = {
        (each.name, each.variant): each
        for each in repeated([_run(f"r{at}") for at in range(4)], SampleAccess())
    }
    assert set(found) == {
        *((name, variant) for name in ("latency_p50", "throughput") for variant in ("torch", "onnx")),
        ("speed-up over torch", "onnx"),
    }
    assert all((each.within, len(each.p_values)) == (2, 2) for each in found.values())


def test_a_run_that_is_slower_is_outside_but_its_speed_up_is_not() -> None:
    """20 % slower in all: the throughput differs by more than rounds explain, the ratio does not."""
    found = {
        (each.name, each.variant): each for each in repeated([_run("r1"), _run("r2", 1.2)], SampleAccess())
    }
    assert found["throughput", "torch"].within == 0
    assert round(found["throughput", "torch"].percent[0]) == -17
    assert found["speed-up over torch", "onnx"].within == 1
