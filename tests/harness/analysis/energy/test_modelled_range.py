import json
from typing import Any

import pytest
from records import a_record

from harness.analysis.diagnostics import warnings_of
from harness.analysis.energy.modelled_range import ModelledRange, modelled_range
from harness.records.record import EnergyFacts, Record
from reports import render_records

CURVE = {
    "vcpus": 4,
    "watts": {"0 %": 1.5, "100 %": 6.0},
    "lowest_watts": {"0 %": 1.0, "100 %": 3.0},
    "highest_watts": {"0 %": 2.0, "100 %": 10.0},
}


def modelled(describe: dict[str, Any]) -> Record:
    """Return 2 s of CPU time in 2 s for 40 J in each round, by a model that is described so."""
    return a_record(
        wall_ms=(2000.0,) * 7,
        joules=(40.0,) * 7,
        reading={"grade": "modelled", "scope": "machine share", "source": "power curve of 4 vCPUs of X (Y)"},
        energy=EnergyFacts(meter="modelled", describe=describe, skipped=()),
    )


def test_the_range_goes_from_cpu_time_alone_to_all_cpus_busy() -> None:
    """2 s x (3 - 1) W are 4 J of 40; 4 x 10 W x 2 s are 80 J."""
    assert modelled_range(modelled(CURVE)) == ModelledRange(pytest.approx(0.1), pytest.approx(2.0))


def test_the_value_is_never_outside_its_range() -> None:
    """A curve that hardly rises at first lies below the straight line."""
    steep = {**CURVE, "lowest_watts": {"0 %": 1.0, "100 %": 90.0}}
    limits = modelled_range(modelled(steep))
    assert limits is not None
    assert limits.low == 1.0


def test_a_model_of_cpu_time_has_no_range() -> None:
    """Its constant is a limit of cooling, with no error published."""
    assert modelled_range(modelled({"watts_per_cpu": 4.0})) is None
    assert modelled_range(a_record()) is None


def test_programs_read_the_range_beside_the_joules() -> None:
    """In JSON as numbers, in CSV in the footnote."""
    records = [modelled(CURVE)]
    (row,) = json.loads(render_records(records, "json"))["rows"]
    assert row["modelled_range"] == {"low": pytest.approx(0.1), "high": pytest.approx(2.0)}
    assert "The curve allows 0.1 to 2 times as many joules." in render_records(records, "csv")
    assert "modelled_range" not in render_records([a_record()], "json")


def test_the_warning_names_the_curve_and_its_range() -> None:
    """It is never called CPU time, and never measured."""
    record = modelled(CURVE)
    (warning,) = (item for item in warnings_of(record, [record], [record]) if item.code == "energy-modelled")
    watts = "each vCPU 1.5 W (1 to 2) idle and 6 W (3 to 10) busy"
    assert f"power curve of 4 vCPUs of X (Y), {watts}" in warning.sentence
