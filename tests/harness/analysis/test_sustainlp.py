from typing import Any

import pytest
from records import a_record

from harness.analysis.sustainlp import PUE, ProtocolEnergy, kwh, protocol_energy, protocol_settings
from harness.common.errors import UsageError
from harness.records.estimate import Unavailable
from harness.records.record import Record


def by_protocol(pue: float = 1.58, **changes: Any) -> Record:
    """Return a record of whole processes over 100 examples, 36 J each start: 7 rounds of 1.8 s at 20 W."""
    configuration: dict[str, Any] = {"configuration": {"protocol": {"name": "sustainlp2020", "pue": pue}}}
    return a_record(wall_ms=(1800,) * 7, **configuration | changes)


def test_joules_become_kilowatt_hours_with_the_overhead_of_a_data_centre() -> None:
    """3.6 MJ are one kWh, and 1.58 with the tracker's PUE."""
    assert kwh(3.6e12, 1.0) == 1.0
    assert kwh(3.6e12, PUE) == 1.58


def test_a_whole_process_is_scaled_and_its_interval_with_it() -> None:
    """36 J of a start are 36 / 3.6e6 = 1e-5 kWh, times 1.58."""
    energy = protocol_energy(by_protocol())
    assert isinstance(energy, ProtocolEnergy)
    assert energy.energy.microjoules.value == pytest.approx(36e6)
    assert (energy.kwh, energy.low_kwh, energy.high_kwh) == (pytest.approx(1.58e-5),) * 3
    assert (energy.pue, energy.examples) == (1.58, 100)


def test_the_pue_of_the_record_is_used_not_that_of_the_report() -> None:
    """It was set when the run began."""
    energy = protocol_energy(by_protocol(pue=1.0))
    assert isinstance(energy, ProtocolEnergy)
    assert energy.kwh == pytest.approx(1e-5)


def test_a_record_of_another_protocol_has_no_energy_by_it() -> None:
    """Nor has one without energy."""
    assert protocol_energy(a_record()) == Unavailable("it was not measured by this protocol")
    energy = protocol_energy(by_protocol(joules=(None,) * 7))
    assert energy == Unavailable("package-0: permission was denied")


def test_the_trackers_variable_overrides_the_pue() -> None:
    """As its users know it."""
    assert protocol_settings("sustainlp2020", {}) == {"name": "sustainlp2020", "pue": 1.58}
    assert protocol_settings("sustainlp2020", {"OVERRIDE_PUE": "1.1"}) == {
        "name": "sustainlp2020",
        "pue": 1.1,
    }
    assert protocol_settings("", {"OVERRIDE_PUE": "nonsense"}) is None


@pytest.mark.parametrize("text", ["nonsense", "0.9", "-1", "nan", "inf"])
def test_an_invalid_pue_is_refused(text: str) -> None:
    """A data centre draws at least the power of its machines."""
    with pytest.raises(UsageError, match="must be a number of 1 or more, got"):
        protocol_settings("sustainlp2020", {"OVERRIDE_PUE": text})


def test_an_unknown_protocol_is_refused_with_the_nearest_name() -> None:
    """Before anything is measured."""
    with pytest.raises(UsageError, match="sustainlp2021"):
        protocol_settings("sustainlp2021", {})
