"""A whole `bench run --device cuda:0` on simulated boards: real meters, their check, and the whole record."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from simulation.boards import BoardWorld

from baselines.models.cuda import TRANSFER
from harness.analysis.diagnostics import warnings_of
from harness.analysis.energy.idle_power import IdlePower, idle_power
from harness.catalog import Peaks
from harness.cli.app import call
from harness.measurement.machine.devices import check_device
from harness.records.reading import sum_with_processor
from harness.testing.world import altered


@pytest.fixture
def world(tmp_path: Path) -> BoardWorld:
    return BoardWorld(tmp_path)


def test_known_joules_come_back_from_a_whole_run(world: BoardWorld) -> None:
    """300 W of the board, 24 W of processor and memory: read apart, and together, to what is stated."""
    for record in world.run("--device", "cuda:0"):
        for item in record.rounds:
            readings = {reading.zone: reading for reading in item.readings}
            assert set(readings) == {"gpu-0", "package-0", "package-0/dram"}
            watts = {"gpu-0": 300.0, "package-0": 20.0, "package-0/dram": 4.0}
            for zone, reading in readings.items():
                assert reading.microjoules is not None
                known_uj = watts[zone] * reading.span_ns / 1e3
                assert abs(reading.microjoules - known_uj) <= reading.resolution_uj
            together = sum_with_processor(item.readings)
            assert together is not None
            assert together.scope == "board+package+dram"
            assert together.microjoules == pytest.approx(324 * together.span_ns / 1e3, rel=0.01)


def test_windows_are_as_long_as_the_board_s_counter_needs(world: BoardWorld) -> None:
    """It steps every 100 ms, so 1 % needs 20 s. Idle power is measured with all systems loaded."""
    for record in world.run("--device", "cuda:0"):
        assert all(item.wall_ns >= 20_000_000_000 for item in record.rounds)
        assert all(item.passes > 1 for item in record.rounds)
        power = idle_power(record.idle)
        assert isinstance(power, IdlePower)
        assert power.watts == pytest.approx(300, rel=0.05)


def test_the_check_and_the_agreement_with_the_power_sensor_are_kept(world: BoardWorld) -> None:
    """Both show 300 W; a sensor that shows 30 % less causes a warning."""
    record = world.run("--device", "cuda:0")[0]
    assert record.energy.meter == "nvml+rapl"
    assert record.energy.check is not None
    assert record.energy.check["agreement"] == pytest.approx(1.0, rel=0.02)
    assert {zone["zone"] for zone in record.energy.check["zones"]} == {"gpu-0", "package-0", "package-0/dram"}
    assert "sensors-disagree" not in {warning.code for warning in warnings_of(record)}
    world.simulated.nvml.power_factor = 0.7
    world.machine = altered(world.machine, suffix=lambda: "0002")
    warning = next(
        warning
        for warning in warnings_of(world.run("--device", "cuda:0")[0])
        if warning.code == "sensors-disagree"
    )
    assert "reported 1.43 times the power of its sensor" in warning.sentence


def test_what_isolates_the_board_is_in_the_record_and_in_the_report(
    world: BoardWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other processes, clocks, what reduces them, power limit, temperature, ECC and MIG: before and after."""
    world.simulated.nvml.boards[0].users = (7, 8)
    world.simulated.nvml.boards[0].clock_events = 0x4
    record = world.run("--device", "cuda:0", "--variants", "fast")[0]
    assert record.conditions is not None
    for moment in (record.conditions.before, record.conditions.after):
        board = next(board for board in moment.gpus if board.index == 0)
        assert (board.temperature_c, board.sm_clock_mhz, board.memory_clock_mhz) == (60, 1980, 2619)
        assert (board.power_limit_mw, board.throttled_by, board.foreign) == (700_000, ("power_cap",), 2)
    assert [(board["ecc"], board["mig"]) for board in record.host.facts["gpus"]] == [("on", "off")] * 2
    assert "foreign-gpu" in {warning.code for warning in warnings_of(record)}
    shown = " ".join(capsys.readouterr().out.split())
    assert "Simulated board 0 (the driver's board 0), power limit 700 W, ECC on, MIG off" in shown
    assert "60, then 60 C; multiprocessors at 1,980, then 1,980 MHz" in shown
    assert "clocks throttled by power_cap; 2 foreign processes on it" in shown
    assert f"copies are {TRANSFER}" in shown


def test_the_share_of_the_board_s_limits_comes_out_of_a_run(
    world: BoardWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """2e9 operations a token in 1 ms are 2 T/s, half of a peak of 4; weights of 2 GB at 1 TB/s take 2 ms.

    Requests have 15 to 26 tokens or so, hence as many ms: the weights are about a tenth of that.
    """
    products = [{"precision": "bf16", "shape": [8, 8, 8], "per_second": 4e12}]

    def device(name: str, shapes: object) -> dict[str, Any]:
        del shapes
        return {"device": name, "name": "A board", "products": products, "copy_bytes_per_second": 1e12}

    monkeypatch.setattr("harness.catalog.load_peaks", lambda: Peaks(device, device, device))
    records = world.run("--device", "cuda:0", "--scenario", "single-stream,offline")
    capsys.readouterr()
    assert call(["roofline", "latest", "--device", "cuda", "--json"], world.context()) == 0
    shown = {
        (system["variant"], system.get("scenario")): system
        for system in json.loads(capsys.readouterr().out)["systems"]
        if "unavailable" not in system
    }
    alone, together = shown["fast", "single-stream"], shown["fast", "offline"]
    assert alone["of_products"] == pytest.approx(0.5, rel=0.01)
    assert together["of_products"] == pytest.approx(0.5, rel=0.01)
    fast = next(
        record
        for record in records
        if (record.cell.variant, record.cell.scenario) == ("fast", "single-stream")
    )
    ms = sum(item.tokens for item in fast.rounds) / sum(item.requests for item in fast.rounds)
    assert alone["of_copies"] == pytest.approx(2 / ms, rel=0.05)
    assert together["of_copies"] is None


def test_workers_that_do_not_fit_a_board_are_loaded_for_each_visit(world: BoardWorld) -> None:
    """Two of 2 GiB each in four fifths of 80 GiB, or of 4; the record states it, without idle power."""
    large = world.run("--device", "cuda:0")
    assert [record.start and record.start.loaded_per_visit for record in large] == [False] * 2
    world.simulated.nvml.boards[0].memory_bytes = 4 * 2**30
    world.machine = altered(world.machine, suffix=lambda: "0002")
    small = world.run("--device", "cuda:0")
    assert [record.start and record.start.loaded_per_visit for record in small] == [True] * 2
    assert small[0].idle is not None
    assert "loaded for each visit" in str(small[0].idle.unavailable)


def test_another_board_is_another_group_s(world: BoardWorld) -> None:
    """`cuda:1` draws 50 W, and board 0's 300 are nowhere in its joules."""
    for record in world.run("--device", "cuda:1"):
        zones = {reading.zone: reading for item in record.rounds for reading in item.readings}
        assert set(zones) == {"gpu-1", "package-0", "package-0/dram"}
        reading = zones["gpu-1"]
        assert reading.microjoules == pytest.approx(50 * reading.span_ns / 1e3, rel=0.02)
        assert record.placement is not None
        assert record.placement.board == 1


def test_doctor_says_what_is_read_on_a_board(world: BoardWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """The processor's counter beside the board's, with and without a trial."""
    for options in ([], ["--check"]):
        assert call(["doctor", "--device", "cuda:0", "--json", *options], world.context()) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["meter"], report["grade"]) == ("nvml+rapl", "measured")
        assert set(report["meter_facts"]["meters"]) == {"nvml", "rapl"}
        assert report["devices"] == {
            "cpu": "ready",
            "cuda:0": "Simulated board 0, the driver's board 0",
            "cuda:1": "Simulated board 1, the driver's board 1",
        }


def test_without_a_board_the_command_says_so_and_ends_with_2(
    world: BoardWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is prepared, nothing stored, and doctor is named."""
    machine = altered(world.machine, check_device=partial(check_device, gpus=lambda: 0, visible=lambda: None))
    world.machine = machine
    assert call(["doctor", "--device", "cuda", "--json"], world.context()) == 0
    missing = json.loads(capsys.readouterr().out)["devices"]["cuda"]
    assert missing.startswith(
        "unavailable, because cuda:0 is not available: this machine shows no NVIDIA GPU."
    )
    assert "a PyTorch that is built for CUDA" in missing
    assert call(["run", "-q", "--device", "cuda"], world.context()) == 2
    message = capsys.readouterr().err
    assert "cuda:0 is not available: this machine shows no NVIDIA GPU" in message
    assert "bench doctor" in message
    assert not world.store.exists()
