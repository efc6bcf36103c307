"""Checks of readings: their meter, their grade, and modelled joules computed by hand."""

from dataclasses import replace
from typing import Any

import pytest
from records import a_reading, a_record

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.energy import GRADES, check_energy, model_of
from harness.measurement.energy.selection import METERS
from harness.records.reading import Reading
from harness.records.record import EnergyFacts, IdleEnergy, Record

SOURCE = "CPU time x 280 W / 64 cores (a processor, codecarbon's table)"
MODEL = EnergyFacts(
    meter="modelled", describe={"source": SOURCE, "watts_per_cpu": 4.375}, skipped=(("rapl", "none", ""),)
)
CURVE = EnergyFacts(
    meter="modelled",
    describe={"source": "a curve", "vcpus": 2, "watts": {"0 %": 1.0, "50 %": 3.0, "100 %": 4.0}},
    skipped=(),
)
RAPL = EnergyFacts(
    meter="rapl",
    describe={"source": "RAPL powercap", "zones": [{"zone": "package-0", "scope": "package"}]},
    skipped=(("perf", "rapl comes first", ""),),
    check={"meter": "rapl", "moved": True},
)


def modelled(microjoules: int, span_ns: int = 1_000_000_000, **changes: Any) -> Reading:
    """Return a modelled reading of a window of one second, by default of exactly that window."""
    facts = {"zone": "cpu-time", "grade": "modelled", "scope": "process share", "source": SOURCE} | changes
    return a_reading(microjoules, span_ns=span_ns, **facts)


def measured(reading: Reading, energy: EnergyFacts = MODEL, **changes: Any) -> Record:
    """Return a record of one window of one second, with 800 ms of CPU time."""
    record = a_record(wall_ms=[1000.0], energy=energy, **changes)
    (window,) = record.rounds
    window = replace(window, cpu_ns=800_000_000, readings=(reading,))
    return record.model_copy(update={"rounds": (window,)})


def wrong(record: Record) -> list[str]:
    """Return what is wrong with the readings of a record."""
    check = VerificationCheck("energy", "")
    check_energy(check, SealedRecord("cell.json", {}, record, None))
    assert check.figures
    return check.wrong


def test_modelled_joules_of_exactly_the_window_are_watts_times_cpu_time() -> None:
    """0.8 s x 4.375 W are 3.5 J, to the microjoule."""
    assert wrong(measured(modelled(3_500_000))) == []
    assert "the model gives 3500000 to 3500000 uJ" in wrong(measured(modelled(3_500_010)))[0]
    assert wrong(measured(modelled(3_499_990)))


def test_a_reading_that_covers_more_than_the_window_has_at_least_its_joules() -> None:
    """Less is impossible; more may have been used around the window, which the output states."""
    assert wrong(measured(modelled(3_520_000, span_ns=1_002_000_000))) == []
    assert wrong(measured(modelled(3_400_000, span_ns=1_002_000_000)))
    check = VerificationCheck("energy", "")
    record = measured(modelled(3_520_000, span_ns=1_002_000_000))
    check_energy(check, SealedRecord("cell.json", {}, record, None))
    assert any("modelled joules" in gap and "% only" in gap for gap in check.gaps)


def test_a_power_curve_is_looked_up_at_the_load() -> None:
    """0.8 s on two virtual CPUs is a load of 40 %: 2 x 2.6 W over one second are 5.2 J."""
    reading = modelled(5_200_000, source="a curve", scope="machine share")
    record = measured(reading, CURVE)
    model = model_of(record)
    assert model is not None
    assert model(800_000_000, 1_000_000_000) == pytest.approx(5_200_000)
    assert model(4_000_000_000, 1_000_000_000) == pytest.approx(2 * 4.0 * 2.0 * 1e6), "a load of 200 %"


def test_watts_are_those_that_the_source_names() -> None:
    """280 W over 64 cores are 4.375 W."""
    half = MODEL.model_copy(update={"describe": {"source": SOURCE, "watts_per_cpu": 2.1875}})
    assert "watts_per_cpu" in wrong(measured(modelled(1_750_000), half))[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"grade": "measured"}, "grade: the record has measured, expected modelled"),
        ({"source": "RAPL powercap"}, "its source is not that of modelled"),
        ({"scope": "package"}, "scope: the record has package, expected process share"),
    ],
)
def test_a_modelled_reading_is_never_called_anything_else(change: dict[str, str], problem: str) -> None:
    """Grade, source and scope follow from the meter."""
    assert any(problem in line for line in wrong(measured(modelled(3_500_000, **change))))


def test_a_counter_is_on_trust_but_its_grade_and_scope_are_not() -> None:
    """Any joules pass; `modelled`, or the scope of another zone, does not."""
    reading = a_reading(20_000_000, source="RAPL powercap")
    assert wrong(measured(reading, RAPL)) == []
    assert wrong(measured(replace(reading, microjoules=1), RAPL)) == []
    assert "grade" in wrong(measured(replace(reading, grade="modelled"), RAPL))[0]
    assert "source" in wrong(measured(replace(reading, source="RAPL powercapX"), RAPL))[0]
    assert "scope" in wrong(measured(replace(reading, scope="dram"), RAPL))[0]


def test_the_meter_is_the_one_that_was_tried_and_asked_for() -> None:
    """It is not among those that were skipped, its check moved, and the user named no other."""
    reading = a_reading(20_000_000, source="RAPL powercap")
    skipped = RAPL.model_copy(update={"skipped": (("rapl", "denied", ""),)})
    assert "was used, and skipped too" in wrong(measured(reading, skipped))[0]
    stuck = RAPL.model_copy(update={"check": {"meter": "rapl", "moved": False}})
    assert "did not move" in wrong(measured(reading, stuck))[0]
    assert "configuration.meter" in wrong(measured(reading, RAPL, configuration={"meter": "perf"}))[0]


def test_idle_readings_are_of_the_same_meter() -> None:
    """Before the rounds and after."""
    reading = a_reading(20_000_000, source="RAPL powercap")
    idle = IdleEnergy(before=(reading,), after=(replace(reading, grade="modelled"),))
    assert "idle after" in wrong(measured(reading, RAPL, idle=idle))[0]


def test_without_a_meter_there_are_no_readings() -> None:
    """`--meter none`."""
    none = EnergyFacts(meter=None, describe={}, skipped=())
    assert "there is no meter" in wrong(measured(a_reading(1), none))[0]


def test_the_grade_of_a_meter_of_somebody_else_is_not_checked() -> None:
    """A plug-in's meter: this is said."""
    foreign = EnergyFacts(meter="wallplug", describe={"source": "powercap"}, skipped=())
    check = VerificationCheck("energy", "")
    check_energy(check, SealedRecord("cell.json", {}, measured(a_reading(1), foreign), None))
    assert check.wrong == []
    assert any("wallplug" in gap for gap in check.gaps)


def test_every_meter_of_the_table_has_a_grade() -> None:
    """That of codecarbon is in its description."""
    assert {entry.name for entry in METERS} == {*GRADES, "codecarbon"}
