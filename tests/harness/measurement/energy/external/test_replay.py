"""Recordings: what was read is played back, wraps and failures included."""

import json
from pathlib import Path

import pytest

from harness.common.errors import UsageError
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.external.replay import (
    RECORD,
    Recorder,
    ReplayMeter,
    open_replay,
    read_recording,
)
from harness.testing import FakeClock, powercap_tree

SECOND = 1_000_000_000
RANGE_UJ = 65_532_610_987


def test_a_recording_plays_back_what_the_meter_read(tmp_path: Path) -> None:
    """Three windows: a plain one, one with a wrap, one in which the zone went away."""
    tree = powercap_tree(tmp_path / "tree", sockets=1, core=False, range_uj=RANGE_UJ)
    clock, file = FakeClock(), tmp_path / "recording.jsonl"
    recorder = Recorder(RaplMeter(tree.root, clock), file)
    recorded = []
    for step in range(3):
        mark = recorder.start()
        tree.advance(50_000_000 if step < 1 else RANGE_UJ - 20_000_000_000)
        clock.advance(60 * SECOND)
        if step == 2:
            tree.remove("package-0/dram")
        recorded += recorder.read(mark)
    meter = ReplayMeter(file)
    replayed = [reading for _ in range(3) for reading in meter.read(meter.start())]
    facts = ("zone", "scope", "microjoules", "span_ns", "resolution_uj", "samples", "reason")
    assert [[getattr(reading, fact) for fact in facts] for reading in replayed] == [
        [getattr(reading, fact) for fact in facts] for reading in recorded
    ]


def test_what_is_played_back_is_never_called_measured(tmp_path: Path) -> None:
    """Another run used this energy, as the source states."""
    file = tmp_path / "recording.jsonl"
    file.write_text(
        '{"at_ns": 0, "zone": "package-0", "microjoules": 0}\n'
        f'{{"at_ns": {SECOND}, "zone": "package-0", "microjoules": 7000000}}\n'
    )
    meter = ReplayMeter(file)
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.microjoules) == ("modelled", 7_000_000)
    assert reading.source == "replay of counters of unknown origin"
    assert meter.grade == "modelled"


def test_a_recording_that_has_ended_is_unavailable(tmp_path: Path) -> None:
    """It does not begin again: two runs with the same joules would seem to be one."""
    file = tmp_path / "recording.jsonl"
    lines = [{"at_ns": at * SECOND, "zone": "z", "microjoules": at * 10**6} for at in range(2)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    meter = open_replay(ReplayMeter(file).spec())
    assert meter.read(meter.start())[0].microjoules == 10**6
    assert meter.read(meter.start())[0].reason == "the recording has ended"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "recording.jsonl has no sample."),
        ("nonsense\n", "recording.jsonl, line 1: not JSON (Expecting value at column 1)."),
        ("[1]\n", "recording.jsonl, line 1: expected a JSON object, got list."),
        ('{"at_ns": 1e999}\n', "recording.jsonl, line 1: a number is too large (1e999)."),
        ('{"at_ns": 1}\n', "recording.jsonl, line 1: not a sample (without 'zone')."),
    ],
)
def test_a_file_of_another_form_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    """As an obstacle of the meter, and as an error of the reader."""
    file = tmp_path / "recording.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError) as error:
        read_recording(file)
    assert error.value.message == message
    assert ReplayMeter(file).obstacle() == (message.removesuffix("."), RECORD)


def test_a_missing_file_is_an_obstacle(tmp_path: Path) -> None:
    """It cannot be read; the message that quotes the reason ends it with a full stop."""
    reason, _ = ReplayMeter(tmp_path / "absent.jsonl").obstacle() or ("", "")
    assert reason == "absent.jsonl cannot be read: there is no such file"
