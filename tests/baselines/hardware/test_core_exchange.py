import os
import stat
from pathlib import Path

import pytest

from baselines.hardware.c_program import compiler
from baselines.hardware.core_exchange import start
from harness.measurement.machine.core_latency import NoCoreLatencyProbe, core_latency_probe

CPUS = sorted(os.sched_getaffinity(0))

several = pytest.mark.skipif(
    len(CPUS) < 2 or compiler() is None, reason="two CPUs and a C compiler are needed"
)


@several
def test_two_cpus_answer_each_other_as_often_as_they_are_asked_and_no_more_once_ended() -> None:
    """In ten nanoseconds at least, as light alone needs some, and in less than a millisecond."""
    pair = start(CPUS[0], CPUS[-1])
    assert pair is not None
    try:
        for _ in range(3):
            trip_ns = pair.ask()
            assert trip_ns is not None
            assert 10 < trip_ns < 1_000_000
    finally:
        pair.end()
    assert pair.ask() is None


@several
def test_a_cpu_that_is_not_there_answers_nothing() -> None:
    """The program ends at once, and the question is answered by nobody."""
    pair = start(CPUS[0], 1023)
    assert pair is not None
    assert pair.ask() is None
    pair.end()


def test_without_a_compiler_or_with_one_that_fails_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is wrong with the run."""
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    for named in (str(tmp_path / "none"), str(broken)):
        monkeypatch.setenv("CC", named)
        assert start(0, 1) is None
        assert isinstance(core_latency_probe((0, 1), start), NoCoreLatencyProbe)


def test_a_single_cpu_has_nobody_to_answer() -> None:
    """Nothing is started for it."""

    def never(_first: int, _last: int) -> None:
        raise AssertionError

    alone = core_latency_probe((3,), never)
    assert alone.ask() is None
    alone.end()
