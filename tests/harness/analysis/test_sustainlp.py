from dataclasses import replace
from typing import Any

import pytest
from records import a_reading, a_record

from harness.analysis.sustainlp import (
    NO_PROCESSOR,
    PUE,
    ProtocolEnergy,
    TrackerTerms,
    cpu_share,
    kwh,
    protocol_energy,
    protocol_settings,
    tracker_terms,
)
from harness.common.errors import UsageError
from harness.records.estimate import Unavailable
from harness.records.record import Record


def by_protocol(pue: float = 1.58, **changes: Any) -> Record:
    """Return a record of whole processes over 100 examples, 36 J each start: 7 rounds of 1.8 s at 20 W."""
    configuration: dict[str, Any] = {"configuration": {"protocol": {"name": "sustainlp2020", "pue": pue}}}
    return a_record(wall_ms=(1800,) * 7, **configuration | changes)


def on_a_server(**watched: Any) -> Record:
    """Return two sockets at 100 and 80 J, their DRAM at 20 and 10 J, and a board at 300 J, for each start."""
    zones = [
        ("package-0", "package", 100),
        ("package-1", "package", 80),
        ("package-0/dram", "dram", 20),
        ("package-1/dram", "dram", 10),
        ("board 0", "board", 300),
    ]
    readings = tuple(a_reading(joules * 10**6, zone=zone, scope=scope) for zone, scope, joules in zones)
    record = by_protocol()
    rounds = tuple(replace(turn, readings=readings, **watched) for turn in record.rounds)
    return record.model_copy(update={"rounds": rounds})


SHARE_OF_90_PERCENT = {
    "cpu_ns": 1_800_000_000,
    "wall_ns": 1_800_000_000,
    "watched_ns": 3_600_000_000,
    "foreign_cpu_ns": 300_000_000,
    "elsewhere_cpu_ns": 80_000_000,
    "parent_cpu_ns": 20_000_000,
}
"""1.8 s of own CPU time in a window of 1.8 s; others used 0.4 s in 3.6 s: 0.2 s of the window. 1.8 / 2.0."""


def test_joules_become_kilowatt_hours_with_the_overhead_of_a_data_centre() -> None:
    """3.6 MJ are one kWh, and 1.58 with the tracker's PUE."""
    assert kwh(3.6e12, 1.0) == 1.0
    assert kwh(3.6e12, PUE) == 1.58


def test_the_tracker_takes_dram_out_of_the_package_and_credits_it_by_memory() -> None:
    """(180 - 30) x 0.9 + 30 x 0.4 + 300 = 135 + 12 + 300 = 447 J, as its cpu/intel.py and utils.py add."""
    terms = TrackerTerms(processor=180e6, dram=30e6, boards=300e6, cpu_share=0.9)
    assert terms.credited(memory_share=0.4) == pytest.approx(447e6)


def test_dram_drops_out_where_both_shares_are_equal() -> None:
    """180 x 0.9 + 300 = 462 J; alone on the machine, 180 + 300: DRAM apart from the package is lost."""
    assert TrackerTerms(180e6, 30e6, 300e6, cpu_share=0.9).credited() == pytest.approx(462e6)
    assert TrackerTerms(180e6, 30e6, 300e6, cpu_share=None).credited() == pytest.approx(480e6)


def test_all_sockets_and_the_boards_are_added() -> None:
    """100 + 80 J of packages, 20 + 10 J of DRAM, 300 J of the board."""
    terms = tracker_terms(on_a_server(**SHARE_OF_90_PERCENT).rounds[0])
    assert isinstance(terms, TrackerTerms)
    assert (terms.processor, terms.dram, terms.boards) == (180e6, 30e6, 300e6)
    assert terms.cpu_share == pytest.approx(0.9)


def test_a_start_on_a_server_has_the_trackers_kilowatt_hours() -> None:
    """462 J x 1.58 / 3.6e6; memory shares of 0 and 2 give 435 and 495 J."""
    energy = protocol_energy(on_a_server(**SHARE_OF_90_PERCENT))
    assert isinstance(energy, ProtocolEnergy)
    assert energy.kwh == pytest.approx(462 / 3.6e6 * 1.58)
    assert energy.low_kwh == pytest.approx(435 / 3.6e6 * 1.58)
    assert energy.high_kwh == pytest.approx(495 / 3.6e6 * 1.58)


def test_the_cpu_share_is_of_all_cpu_time_in_the_window() -> None:
    """What the kernel did not show makes it unknown, never 1."""
    assert cpu_share(on_a_server(**SHARE_OF_90_PERCENT).rounds[0]) == pytest.approx(0.9)
    for hidden in ("watched_ns", "foreign_cpu_ns", "elsewhere_cpu_ns", "parent_cpu_ns"):
        assert cpu_share(on_a_server(**SHARE_OF_90_PERCENT | {hidden: None}).rounds[0]) is None


def test_a_whole_process_is_scaled_and_its_interval_with_it() -> None:
    """36 J of a start are 36 / 3.6e6 = 1e-5 kWh, times 1.58; without DRAM the interval has no width."""
    energy = protocol_energy(by_protocol())
    assert isinstance(energy, ProtocolEnergy)
    assert energy.terms.processor == pytest.approx(36e6)
    assert (energy.kwh, energy.low_kwh, energy.high_kwh) == (pytest.approx(1.58e-5),) * 3
    assert (energy.pue, energy.examples, energy.seconds) == (1.58, 100, 1.8)


def test_the_pue_of_the_record_is_used_not_that_of_the_report() -> None:
    """It was set when the run began."""
    energy = protocol_energy(by_protocol(pue=1.0))
    assert isinstance(energy, ProtocolEnergy)
    assert energy.kwh == pytest.approx(1e-5)


def test_a_board_alone_is_not_the_trackers_sum() -> None:
    """It adds the packages, and a board's joules under its name would be too few."""
    board = {"zone": "board 0", "scope": "board"}
    assert protocol_energy(by_protocol(reading=board)) == Unavailable(NO_PROCESSOR)


def test_a_meter_of_the_whole_machine_has_no_terms() -> None:
    """A wall socket's joules hold fans and disks: another quantity."""
    energy = protocol_energy(by_protocol(reading={"zone": "wall", "scope": "system"}))
    assert energy == Unavailable("the tracker adds packages and boards, and the meter reads system")


def test_a_model_of_the_process_stands_in_with_its_share_inside() -> None:
    """CPU time of the process is credited already: no CPU share is applied twice."""
    reading = {"grade": "modelled", "scope": "process share", "source": "CPU time x 4 W"}
    record = by_protocol(reading=reading)
    rounds = tuple(replace(turn, **SHARE_OF_90_PERCENT) for turn in record.rounds)
    energy = protocol_energy(record.model_copy(update={"rounds": rounds}))
    assert isinstance(energy, ProtocolEnergy)
    assert energy.kwh == pytest.approx(1.58e-5)
    assert (energy.terms.grade, energy.terms.is_share) == ("modelled", True)


def test_one_lost_counter_of_the_sum_makes_it_unavailable() -> None:
    """A socket that could not be read is no zero."""
    record = on_a_server()
    lost = a_reading(None, zone="package-1")
    rounds = tuple(replace(turn, readings=(turn.readings[0], lost)) for turn in record.rounds)
    energy = protocol_energy(record.model_copy(update={"rounds": rounds}))
    assert energy == Unavailable("package-1: permission was denied")


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
