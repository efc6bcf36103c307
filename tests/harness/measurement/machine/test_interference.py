from pathlib import Path

from harness.common.procfs import Busy
from harness.measurement.machine.interference import InterferenceWatch, UsageSample, interference_between
from harness.testing.clock import FakeClock

MS = 1_000_000


def test_what_our_cpus_did_and_we_did_not_is_foreign() -> None:
    """1,000 ms busy, of which the worker used 700 and the parent 20: 280 ms are others'; steal is 40 ms."""
    before = UsageSample(0, 5 * MS, 100 * MS, Busy(4_000 * MS, 900 * MS, 10 * MS))
    after = UsageSample(600 * MS, 25 * MS, 800 * MS, Busy(5_000 * MS, 1_000 * MS, 50 * MS))
    assert interference_between(before, after) == {
        "watched_ns": 600 * MS,
        "parent_cpu_ns": 20 * MS,
        "foreign_cpu_ns": 280 * MS,
        "elsewhere_cpu_ns": 100 * MS,
        "steal_ns": 40 * MS,
    }


def test_ticks_that_show_less_than_our_own_time_are_no_foreign_load() -> None:
    """30 ms of ticks, 35 ms of our own CPU time: no interference, and never negative."""
    before, after = UsageSample(0, 0, 0, Busy(0, 0, 0)), UsageSample(40 * MS, 0, 35 * MS, Busy(30 * MS, 0, 0))
    assert interference_between(before, after)["foreign_cpu_ns"] == 0


def test_a_kernel_that_hides_the_load_leaves_it_out() -> None:
    """The use of others is unknown, that of the parent is known."""
    usage = interference_between(UsageSample(0, 0, 0, None), UsageSample(MS, 2, 3, None))
    assert usage == {"watched_ns": MS, "parent_cpu_ns": 2}


def test_a_look_takes_only_the_named_cpus(tmp_path: Path) -> None:
    """CPU 1 is ours, CPU 0 is not: 7 ticks of 10 ms against 3."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(
        "cpu 10 0 0 0 0 0 0 0 0 0\ncpu0 3 0 0 0 0 0 0 0 0 0\ncpu1 7 0 0 0 0 0 0 2 0 0\n"
    )
    watch = InterferenceWatch((1,), tmp_path, FakeClock(5), lambda: 11, lambda pid: pid)
    edge = watch.look(42)
    assert (edge.at_ns, edge.parent_ns, edge.worker_ns) == (5, 11, 42)
    assert edge.busy is not None
    assert (edge.busy.busy_ns, edge.busy.elsewhere_ns, edge.busy.steal_ns) == (70 * MS, 30 * MS, 20 * MS)
