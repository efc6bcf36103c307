"""Two reads of a counter: energy if exactly one amount is plausible, else the reason."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.measurement.energy.counters.counter import (
    CounterTraits,
    Sample,
    edge_resolution_uj,
    longest_window_s,
    reading,
    step,
)
from harness.records.reading import Zone

SECOND = 1_000_000_000
TRAITS = CounterTraits("a counter", update_ns=1_000_000, quantum_uj=15.26, ceiling_watts=1_000)
AMD_RANGE_UJ = 65_532_610_987  # 2^32 units of 2^-16 J
ZONE = Zone("package-0", "package", AMD_RANGE_UJ)


def test_a_counter_that_rose_gives_the_difference() -> None:
    """90 J in one second is what a processor does."""
    assert step(10_000_000, 100_000_000, AMD_RANGE_UJ, SECOND, TRAITS) == 90_000_000


def test_a_wrap_around_is_corrected() -> None:
    """7 uJ before the range, 5 uJ after it: 12 uJ in all."""
    assert step(AMD_RANGE_UJ - 7, 5, AMD_RANGE_UJ, SECOND, TRAITS) == 12


def test_a_decrease_that_is_not_a_wrap_around_gives_no_energy() -> None:
    """From 60 kJ back to 59 kJ would be 64.5 kJ in a second: the counter restarted."""
    reason = step(60_000_000_000, 59_000_000_000, AMD_RANGE_UJ, SECOND, TRAITS)
    assert reason == "the counter decreased by 1000 J in 1 s, which is not a wrap-around"


def test_without_a_range_no_wrap_is_assumed() -> None:
    """A backward step is corrected only by the zone's own range."""
    reason = step(AMD_RANGE_UJ - 7, 5, None, SECOND, TRAITS)
    assert reason == "the counter decreased, and the range at which it wraps around is unreadable"


def test_energy_that_no_processor_could_use_is_refused() -> None:
    """62,143 J in a second is what one failed read once invented elsewhere."""
    reason = step(0, 62_143_000_000, AMD_RANGE_UJ, SECOND, TRAITS)
    assert reason == "the counter increased by 62143 J in 1 s, which is more than is possible"


def test_a_counter_beyond_its_range_is_refused() -> None:
    """A read of more than the range is a misread, whatever the other read is."""
    reason = step(5, AMD_RANGE_UJ + 1, AMD_RANGE_UJ, SECOND, TRAITS)
    assert reason == "the counter exceeds its own range of 65532.6 J"


def test_a_window_in_which_a_wrap_could_hide_is_refused() -> None:
    """In 100 s, 30 kJ (300 W) may be 30 + 65.5 kJ (955 W); in 90 s it may not (1,061 W)."""
    assert step(0, 30_000_000_000, AMD_RANGE_UJ, 90 * SECOND, TRAITS) == 30_000_000_000
    reason = step(0, 30_000_000_000, AMD_RANGE_UJ, 100 * SECOND, TRAITS)
    assert reason == "the counter may have wrapped around more than once in 100 s"


@pytest.mark.parametrize(
    ("span_ns", "expected"),
    [
        (400_000, "the window of 0.4 ms is shorter than two update periods of the counter"),
        (2 * SECOND, "the counter did not move in 2 s"),
    ],
)
def test_a_counter_that_did_not_move_does_not_measure_zero(span_ns: int, expected: str) -> None:
    """No processor uses nothing: the window is too short, or the counter is dead."""
    assert step(77, 77, AMD_RANGE_UJ, span_ns, TRAITS) == expected


@given(
    before=st.integers(0, AMD_RANGE_UJ - 1),
    watts=st.integers(1, TRAITS.ceiling_watts),
    span_ns=st.integers(10_000_000, 65 * SECOND),
)
def test_every_plausible_energy_is_recovered_across_the_wrap(before: int, watts: int, span_ns: int) -> None:
    """Wherever the counter starts, what was used is what is read, in any window of up to 65 s."""
    energy = watts * span_ns // 1000
    after = (before + energy) % AMD_RANGE_UJ
    assert step(before, after, AMD_RANGE_UJ, span_ns, TRAITS) == energy


@given(
    before=st.integers(0, 2**40),
    after=st.integers(0, 2**40),
    range_uj=st.none() | st.integers(1, 2**40),
    span_ns=st.integers(0, 10**13),
)
def test_no_two_reads_give_negative_zero_or_impossible_energy(
    before: int, after: int, range_uj: int | None, span_ns: int
) -> None:
    """Whatever a broken counter shows, the result is possible energy or a reason."""
    result = step(before, after, range_uj, span_ns, TRAITS)
    assert isinstance(result, str) or 0 < result <= TRAITS.ceiling_watts * (span_ns + 2_000_000) // 1000


def test_a_read_of_the_range_itself_and_one_of_zero_are_the_same_place() -> None:
    """The counter did not move: a reason, not 0 J."""
    assert isinstance(step(2_000_001, 0, 2_000_001, 0, TRAITS), str)


@given(span_ns=st.integers(0, 10**12), lost=st.integers(1, AMD_RANGE_UJ - 1))
def test_a_restart_is_never_taken_for_a_wrap_in_a_short_window(span_ns: int, lost: int) -> None:
    """A counter that restarts at 0 gives energy only if a wrap explains it as well."""
    most = TRAITS.ceiling_watts * (span_ns + 2_000_000) // 1000
    assume(AMD_RANGE_UJ - lost > most)
    assert isinstance(step(lost, 0, AMD_RANGE_UJ, span_ns, TRAITS), str)


def test_the_resolution_is_two_quanta_and_two_updates_of_the_mean_power() -> None:
    """50 J in 1 s is 50 W; 2 x 1 ms x 50 W = 100,000 uJ, and 2 x 15.26 uJ = 30.5: 100,031 rounded up."""
    assert edge_resolution_uj(50_000_000, SECOND, TRAITS) == 100_031


def test_the_longest_window_is_the_range_at_full_power() -> None:
    """65,532.6 J at 1,000 W last 65.5 s."""
    assert longest_window_s(AMD_RANGE_UJ, TRAITS) == pytest.approx(65.5, abs=0.05)


@pytest.mark.parametrize("failed_first", [True, False])
def test_one_failed_read_makes_the_reading_unavailable(failed_first: bool) -> None:
    """Neither the whole counter nor zero may stand in for a read that failed."""
    good, bad = Sample(0, 5_000_000), Sample(SECOND, None, "energy_uj could not be read")
    pair = (bad, good) if failed_first else (good, bad)
    result = reading(ZONE, *pair, TRAITS)
    assert (result.grade, result.microjoules) == ("unavailable", None)
    assert result.reason == "energy_uj could not be read"


def test_a_reading_states_its_origin() -> None:
    """Zone, grade, scope, source, span, resolution and the number of reads are all there."""
    result = reading(ZONE, Sample(SECOND, 0), Sample(2 * SECOND, 50_000_000), TRAITS)
    assert (result.zone, result.grade, result.scope, result.source) == (
        "package-0",
        "measured",
        "package",
        "a counter",
    )
    assert (result.microjoules, result.span_ns, result.resolution_uj, result.samples) == (
        50_000_000,
        SECOND,
        100_031,
        2,
    )
