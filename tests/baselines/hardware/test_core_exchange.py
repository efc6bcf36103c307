import os
import stat
from pathlib import Path

import pytest

from baselines.hardware.c_program import compiler
from baselines.hardware.core_exchange import start
from harness.measurement.machine.core_latency import NoCoreLatencyProbe, core_latency_probe

CPUS = sorted(os.sched_getaffinity(0))

needs_two_cpus = pytest.mark.skipif(
    len(CPUS) < 2 or compiler() is None, reason="needs two CPUs and a C compiler"
)


@needs_two_cpus
def test_a_pair_measures_a_round_trip_at_each_call_until_it_is_ended() -> None:
    """At least ten nanoseconds, since light alone needs some, and less than a millisecond."""
    pair = start(CPUS[0], CPUS[-1])
    assert pair is not None
    try:
        for _ in range(3):
            trip_ns = pair.measure()
            assert trip_ns is not None
            assert 10 < trip_ns < 1_000_000
    finally:
        pair.close()
    assert pair.measure() is None


@needs_two_cpus
def test_a_cpu_that_does_not_exist_gives_no_measurement() -> None:
    """The program exits at once."""
    pair = start(CPUS[0], 1023)
    assert pair is not None
    assert pair.measure() is None
    pair.close()


def test_without_a_working_compiler_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on without the measurement."""
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    for compiler_path in (str(tmp_path / "none"), str(broken)):
        monkeypatch.setenv("CC", compiler_path)
        assert start(0, 1) is None
        assert isinstance(core_latency_probe((0, 1), start), NoCoreLatencyProbe)


def test_a_single_cpu_has_no_exchange() -> None:
    """No process is started for it."""

    def never(_first: int, _last: int) -> None:
        raise AssertionError

    alone = core_latency_probe((3,), never)
    assert alone.measure() is None
    alone.close()
