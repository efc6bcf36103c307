from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from records import a_reading, a_record

from harness.analysis.energy.idle_power import (
    CPU_TIME,
    NO_METER,
    PER_VISIT,
    IdlePower,
    idle_power,
    net_of_idle,
    why_no_idle_power,
)
from harness.analysis.statistics.estimates import EnergyEstimate, energy_per_request, energy_windows
from harness.measurement.energy.fake import FakeMeter
from harness.measurement.energy.idle import idle_window
from harness.records.estimate import Unavailable
from harness.records.reading import Reading
from harness.records.record import IdleEnergy, Record
from harness.testing.clock import FakeClock


def sleeper(clock: FakeClock, slept: list[float]) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(round(seconds * 1e9))

    return sleep


def a_window(joules: float, *, seconds: float = 2.0, **changes: Any) -> tuple[Reading, ...]:
    return (a_reading(round(joules * 1e6), span_ns=round(seconds * 1e9), **changes),)


def with_idle(before: float, after: float | None, **changes: Any) -> Record:
    """Return the record of a run that idled at these watts; its rounds are 7 of 100 requests at 20 W."""
    idle = IdleEnergy(
        before=a_window(2 * before, **changes),
        after=() if after is None else a_window(2 * after, **changes),
    )
    rounds = a_record(wall_ms=(500,) * 7)
    spans = tuple(
        replace(item, readings=(a_reading(10_000_000, span_ns=500_000_000),)) for item in rounds.rounds
    )
    return rounds.model_copy(update={"rounds": spans, "idle": idle})


def net_energy(record: Record) -> EnergyEstimate | Unavailable:
    return net_of_idle(record, energy_windows(record.rounds), energy_per_request(record.rounds))


def test_a_window_lasts_until_the_resolution_suffices() -> None:
    """10 W at 1 J resolution: 0.5 s hold 5 J, 1 s 10 J, 2 s 20 J, which is 20 times the resolution."""
    clock, slept = FakeClock(), list[float]()
    meter = FakeMeter(10.0, clock, resolution_uj=1_000_000)
    (reading,) = idle_window(meter, sleeper(clock, slept), 0.5, 8.0)
    assert slept == [0.5, 1.0, 2.0]
    assert (reading.microjoules, reading.span_ns) == (20_000_000, 2_000_000_000)


def test_a_window_never_lasts_longer_than_it_may() -> None:
    """A meter that would need minutes is read for at most the limit of the profile."""
    clock, slept = FakeClock(), list[float]()
    idle_window(FakeMeter(10.0, clock, resolution_uj=10**9), sleeper(clock, slept), 0.5, 1.5)
    assert slept == [0.5, 1.0]


def test_a_meter_that_fails_is_not_read_for_longer() -> None:
    """A longer window would not restore the permission."""
    clock, slept = FakeClock(), list[float]()
    (reading,) = idle_window(FakeMeter(1.0, clock, reason="denied"), sleeper(clock, slept), 0.5, 8.0)
    assert (slept, reading.reason) == ([0.5], "denied")


def test_without_a_meter_of_power_or_loaded_workers_there_is_no_idle_power() -> None:
    """A model of CPU time has no idle power either."""
    assert why_no_idle_power(FakeMeter(1.0, grade="modelled"), resident=True) == CPU_TIME
    assert why_no_idle_power(FakeMeter(1.0), resident=False) == PER_VISIT
    assert why_no_idle_power(None, resident=True) == NO_METER
    assert why_no_idle_power(FakeMeter(1.0), resident=True) is None


def test_idle_power_is_energy_over_time_before_and_after() -> None:
    """10 J and 12 J in 2 s are 5 and 6 W: 5.5 W on average, 20 % of drift; 0.2 J in 2 s leave 0.1 W."""
    power = idle_power(with_idle(5.0, 6.0, resolution_uj=200_000).idle)
    assert power == IdlePower(before=5.0, after=6.0, uncertain=0.1)
    assert isinstance(power, IdlePower)
    assert (power.watts, power.drift) == (5.5, pytest.approx(0.2))


def test_a_change_within_the_resolution_is_not_drift() -> None:
    """5 W and 5.5 W, each with an uncertainty of 0.3 W."""
    assert IdlePower(5.0, 5.5, 0.3).drift == 0.0
    assert IdlePower(5.0, None, 0.0).drift == 0.0


def test_net_of_idle_is_gross_less_idle_power_times_the_time() -> None:
    """10 J in 0.5 s for 100 requests: 100 mJ each; at 5.5 W idle takes 27.5 mJ of it, which leaves 72.5 mJ.

    With idle between 5 and 6 W the ends are 100 - 30 = 70 and 100 - 25 = 75 mJ.
    """
    net = net_energy(with_idle(5.0, 6.0))
    assert isinstance(net, EnergyEstimate)
    net_microjoules = net.microjoules
    assert (net_microjoules.value, net_microjoules.low, net_microjoules.high) == (
        pytest.approx(72_500),
        pytest.approx(70_000),
        pytest.approx(75_000),
    )
    assert net.grade == "measured"


def test_an_interrupted_run_is_net_of_the_idle_power_before() -> None:
    """It has no window after its last round: 5 W of 20 W are subtracted."""
    net = net_energy(with_idle(5.0, None))
    assert isinstance(net, EnergyEstimate)
    assert net.microjoules.value == pytest.approx(75_000)


@pytest.mark.parametrize(
    ("idle", "reason"),
    [
        (None, "idle power was not measured"),
        (IdleEnergy(unavailable=CPU_TIME), CPU_TIME),
        (IdleEnergy(before=(a_reading(None),)), "package-0: permission was denied"),
    ],
)
def test_without_idle_there_is_no_net(idle: IdleEnergy | None, reason: str) -> None:
    """It is unavailable with the reason, and never equal to gross energy."""
    assert net_energy(a_record(idle=idle)) == Unavailable(reason)
