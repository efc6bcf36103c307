from dataclasses import replace
from typing import Any

import pytest
from records import a_reading, a_record, rounds

from harness.analysis.diagnostics import ResultWarning, warnings_of
from harness.records.record import EnergyFacts, Record


def checked(least_window_ms: int, *, span_ms: float = 100.0, **changes: Any) -> Record:
    """Return a record of seven windows of 10 J, to 0.1 J, whose meter needs windows of a given length."""
    check = {"least_window_ms": least_window_ms, "error": 0.01, "moved": True}
    energy = EnergyFacts(meter="rapl", describe={}, skipped=(), check=check)
    reading = {"span_ns": round(span_ms * 1e6), "resolution_uj": 100_000}
    return a_record(rounds=rounds([500.0] * 7, reading=reading), energy=energy).model_copy(update=changes)


def short(record: Record) -> list[ResultWarning]:
    return [warning for warning in warnings_of(record) if warning.code == "short-for-meter"]


def test_a_window_shorter_than_the_meter_needs_is_warned_of() -> None:
    """100 ms, and 200 ms are needed: no short window was requested, so the next step is a longer window."""
    (warning,) = short(checked(200))
    assert warning.sentence.endswith(
        "its shortest window lasts 0.1 s, and the meter (rapl) needs 0.2 s for an error of at most 1 %."
    )
    assert warning.next_step.startswith("Set --window 0.2s, or use a meter that updates more often")


def test_a_window_that_is_long_enough_causes_no_warning() -> None:
    """Exactly long enough is enough; a record of an earlier version has no check to be held against."""
    assert short(checked(100)) == []
    assert short(a_record()) == []


def test_where_energy_is_coarser_another_warning_says_so_already() -> None:
    """10 J to 1 J: `energy-window` recommends longer rounds; one warning is enough."""
    record = checked(200)
    coarse = [
        replace(visit, readings=(a_reading(10_000_000, span_ns=10**8, resolution_uj=10**6),))
        for visit in record.rounds
    ]
    warnings = warnings_of(record.model_copy(update={"rounds": tuple(coarse)}))
    codes = {warning.code for warning in warnings}
    assert "energy-window" in codes
    assert "short-for-meter" not in codes


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"configuration": {"window_ms": 50}}, "Leave out --window"),
        ({"cell": {"boundary": "process"}}, "Raise --limit"),
    ],
)
def test_the_next_step_fits_what_the_user_asked_for(changes: dict[str, Any], step: str) -> None:
    """A window that the user shortened; a program that answers a slice once and ends."""
    record = checked(200)
    if "cell" in changes:
        changes = {"cell": record.cell.model_copy(update=changes["cell"])}
    (warning,) = short(record.model_copy(update=changes))
    assert warning.next_step.startswith(step)
