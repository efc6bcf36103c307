"""Windows that outlast a counter's range: the samples in between, and the thread that takes them."""

import gc
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measurement.energy.counters.counter import (
    SMALLEST_RANGE_UJ,
    CounterTraits,
    Sample,
    reading,
    sampling_interval_s,
)
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.records.reading import Zone
from harness.testing import FakeClock, powercap_tree

SECOND = 1_000_000_000
RANGE_UJ = 65_532_610_987
TRAITS = CounterTraits("a counter", update_ns=1_000_000, quantum_uj=15.26, ceiling_watts=1_000)
ZONE = Zone("package-0", "package", RANGE_UJ)


def window(tree_folder: Path, *, range_uj: int, watts: int, samples: int, every_s: int) -> object:
    """Read a window with this many samples in between, at a steady power."""
    tree = powercap_tree(tree_folder, sockets=1, dram=False, core=False, range_uj=range_uj)
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock)
    mark = meter.start()
    for _ in range(samples):
        tree.advance(watts * every_s * 1_000_000)
        clock.advance(every_s * SECOND)
        mark.sample()
    tree.advance(watts * every_s * 1_000_000)
    clock.advance(every_s * SECOND)
    return meter.read(mark)[0]


def test_many_wraps_within_one_window_are_all_counted(tmp_path: Path) -> None:
    """900 W for 400 s are 360 kJ: five and a half times the range of 65.5 kJ, seen by 19 samples.

    The resolution stays that of the two edges: 2 x 1 ms x 900 W = 1.8 J, and two quanta of 15.26 uJ.
    """
    result = window(tmp_path, range_uj=RANGE_UJ, watts=900, samples=19, every_s=20)
    assert (result.microjoules, result.samples) == (360_000_000_000, 21)
    assert result.resolution_uj == 1_800_031


def test_without_samples_in_between_the_same_window_is_refused(tmp_path: Path) -> None:
    """Its edges alone do not show how often the counter wrapped around."""
    result = window(tmp_path, range_uj=RANGE_UJ, watts=900, samples=0, every_s=400)
    assert result.reason == "the counter may have wrapped around more than once in 400 s"


def test_a_decrease_between_two_samples_makes_the_window_unavailable() -> None:
    """100 J, then a restart at 0, then 200 J: the edges alone would show 100 J, which is wrong."""
    samples = [Sample(at * 20 * SECOND, uj) for at, uj in enumerate((10**8, 2 * 10**8, 0, 2 * 10**8))]
    result = reading(ZONE, samples[0], samples[-1], TRAITS, samples[1:-1])
    assert result.reason == "the counter decreased by 200 J in 20 s, which is not a wrap-around"
    assert reading(ZONE, samples[0], samples[-1], TRAITS).microjoules == 10**8


def test_a_zone_that_disappeared_in_between_makes_the_window_unavailable() -> None:
    """It is back at the end, but its energy meanwhile is unknown."""
    samples = [
        Sample(0, 5),
        Sample(20 * SECOND, None, "the zone has disappeared"),
        Sample(40 * SECOND, 10**9),
    ]
    assert reading(ZONE, samples[0], samples[2], TRAITS, samples[1:2]).reason == "the zone has disappeared"


def test_a_sample_right_beside_an_edge_is_not_taken_for_a_stuck_counter() -> None:
    """0.3 ms before the end the counter shows the same value, because it steps every millisecond."""
    end = 40 * SECOND
    result = reading(ZONE, Sample(0, 0), Sample(end, 10**9), TRAITS, [Sample(end - 300_000, 10**9)])
    assert (result.microjoules, result.samples) == (10**9, 2)


@given(
    start=st.integers(0, RANGE_UJ - 1),
    steps=st.lists(
        st.tuples(st.integers(2_000_000, 21 * SECOND), st.integers(1, 1_000)), min_size=1, max_size=40
    ),
)
def test_samples_recover_every_joule_at_any_power(start: int, steps: list[tuple[int, int]]) -> None:
    """Any start, any power up to the ceiling, any number of wraps: samples at a third of the span suffice."""
    used, now = 0, 0
    samples = [Sample(0, start)]
    for span_ns, watts in steps:
        now += span_ns
        used += max(1, watts * span_ns // 1000)
        samples.append(Sample(now, (start + used) % RANGE_UJ))
    assert reading(ZONE, samples[0], samples[-1], TRAITS, samples[1:-1]).microjoules == used


@given(
    values=st.lists(st.integers(0, RANGE_UJ), min_size=2, max_size=12),
    spans=st.lists(st.integers(1, 60 * SECOND), min_size=11, max_size=11),
    range_uj=st.sampled_from([RANGE_UJ, None]),
)
def test_any_counter_gives_possible_energy_or_a_reason(
    values: list[int], spans: list[int], range_uj: int | None
) -> None:
    """Resets, wraps and nonsense in any order: never negative, never more than the ceiling allows."""
    times = [sum(spans[:at]) for at in range(len(values))]
    samples = [Sample(at, value) for at, value in zip(times, values, strict=True)]
    result = reading(Zone("z", "package", range_uj), samples[0], samples[-1], TRAITS, samples[1:-1])
    most = TRAITS.ceiling_watts * (times[-1] + 2 * len(values) * TRAITS.update_ns) // 1000
    assert result.microjoules is None or 0 < result.microjoules <= most


def test_a_thread_samples_if_a_window_outlasts_the_safe_span(tmp_path: Path) -> None:
    """With a range that 1 kW passes in 3 ms, a sample is taken every millisecond; it ends with the window."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, core=False, range_uj=3_000_000)
    sampled = threading.Event()

    def read_text(path: Path) -> str:
        if path.name == "energy_uj" and threading.current_thread().name == "meter":
            sampled.set()
        return tree.read_text(path)

    before = set(threading.enumerate())
    meter = RaplMeter(tree.root, FakeClock(step_ns=2_000_000), read_text=read_text)
    mark = meter.start()
    assert sampled.wait(10)
    meter.read(mark)
    assert set(threading.enumerate()) <= before


def test_a_short_window_takes_no_sample_in_between() -> None:
    """The thread sleeps through it: the reading has two samples, and sampling took no time."""
    track = Sampler(lambda: (Sample(0, 1),), every_s=60)
    assert (len(track.end()), track.observer_ns) == (2, 0)


def test_a_window_without_references_ends_its_thread() -> None:
    """A mark that is never read, as of a worker that failed, does not keep a thread for ever."""
    before = set(threading.enumerate())
    track = Sampler(lambda: 1, every_s=3600)
    (watch,) = set(threading.enumerate()) - before
    del track
    gc.collect()
    watch.join(10)
    assert not watch.is_alive()


def test_a_window_may_be_read_again_later() -> None:
    """A second end is a later edge of the same window."""
    values = iter(range(10))
    track = Sampler(lambda: next(values))
    assert (track.end(), track.end()) == ([0, 1], [0, 2])


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ((RANGE_UJ,), 21.8),
        ((262_143_328_850, RANGE_UJ), 21.8),
        ((None,), SMALLEST_RANGE_UJ / 3e9),
        ((), None),
    ],
)
def test_samples_are_taken_three_times_in_the_longest_safe_window(
    ranges: tuple[int | None, ...], expected: float | None
) -> None:
    """65.5 kJ at 1 kW are 65.5 s; a third is 21.8 s. An unreadable range counts as the smallest."""
    result = sampling_interval_s((range_uj, TRAITS) for range_uj in ranges)
    assert result == (expected if expected is None else pytest.approx(expected, abs=0.05))


def test_a_damaged_range_does_not_end_the_thread_that_samples() -> None:
    """A range of 20 digits asks for a sample in thousands of years, which no clock can wait for."""
    sampler = Sampler(lambda: 1, every_s=1e30)
    assert sampler.end() == [1, 1]
