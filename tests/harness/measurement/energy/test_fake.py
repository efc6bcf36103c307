"""The public fakes behave as their docstrings state."""

from pathlib import Path

import pytest

from harness.measurement.energy.fake import open_fake
from harness.testing import FakeClock, FakeMeter, powercap_tree


def test_a_clock_moves_by_its_step_and_when_told() -> None:
    """Two calls 5 ns apart, then 100 ns on."""
    clock = FakeClock(start_ns=10, step_ns=5)
    assert (clock(), clock()) == (10, 15)
    clock.advance(100)
    assert clock() == 120


def test_a_clock_does_not_go_back() -> None:
    """A monotonic clock that did would test nothing real."""
    with pytest.raises(ValueError, match="cannot go back, got a step of -1 ns"):
        FakeClock().advance(-1)


def test_a_fake_meter_reads_watts_times_time() -> None:
    """12 W for 0.25 s are 3 J."""
    clock = FakeClock()
    meter = FakeMeter(12.0, clock, resolution_uj=7)
    mark = meter.start()
    clock.advance(250_000_000)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.span_ns, reading.resolution_uj) == (3_000_000, 250_000_000, 7)
    assert (reading.grade, reading.source) == ("measured", "fake meter")


def test_a_fake_meter_can_be_unavailable_also_after_a_worker_opened_it() -> None:
    """The reason survives the spec, and there are no joules."""
    meter = open_fake(FakeMeter(reason="it rains").spec())
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.microjoules, reading.reason) == ("unavailable", None, "it rains")
    assert meter.obstacle() == ("it rains", "Open the fake without a reason.")


def test_a_powercap_counter_wraps_at_its_range(tmp_path: Path) -> None:
    """90 of 100 uJ and 15 more leave 5."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, core=False, range_uj=100)
    tree.advance(90)
    tree.advance(15, ["package-0"])
    assert tree.energy("package-0") == 5


def test_denial_also_reaches_root_through_the_trees_reader(tmp_path: Path) -> None:
    """Permission bits do not stop root, so the tree's own reader refuses."""
    tree = powercap_tree(tmp_path, sockets=1)
    tree.deny("package-0")
    with pytest.raises(PermissionError):
        tree.read_text(tree.root / "intel-rapl:0" / "energy_uj")
