"""`bench roofline` as a whole command, with peaks that nobody measured."""

import json
from pathlib import Path
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.catalog import Peaks
from harness.cli.app import call
from harness.records.store import Store

PEAKS = {
    "arithmetic": {"int8": {"instruction": "vpdpbusd", "per_second": 400e9}},
    "bytes_per_second": {"131072": 80e9},
}


def cores(threads: list[int]) -> dict[str, Any]:
    return {str(count): PEAKS for count in threads}


def products(shapes: list[list[int]], cpus: list[int]) -> list[dict[str, Any]]:
    rate = 1e11 * len(cpus)
    return [{"precision": "fp32", "shape": shape, "per_second": rate} for shape in shapes]


def device(name: str, shapes: list[list[int]]) -> dict[str, Any]:
    return {
        "device": name,
        "name": "A board",
        "products": products(shapes, [0]),
        "copy_bytes_per_second": 1e12,
    }


def roofline(world: World, monkeypatch: pytest.MonkeyPatch, *words: str, peaks: Any = cores) -> int:
    monkeypatch.setattr("harness.catalog.load_peaks", lambda: Peaks(peaks, products, device))
    return call(["roofline", *words], world.context())


def test_each_stage_is_announced_while_the_peaks_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a minute: on stderr, so that stdout holds the peaks alone."""
    assert roofline(World(tmp_path), monkeypatch) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == ["measure the cores' peaks ...", "measure matrix products ..."]
    assert "1 thread: int8 400 (vpdpbusd)" in out
    assert "measure" not in out


def test_a_board_is_announced_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that --device has."""
    world = World(tmp_path)
    monkeypatch.setattr(type(world.machine), "check_device", lambda *_: None)
    assert roofline(world, monkeypatch, "--device", "cuda:0") == 0
    assert capsys.readouterr().err.splitlines() == ["measure the peaks of cuda:0 ..."]


def test_json_has_no_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program reads both streams."""
    assert roofline(World(tmp_path), monkeypatch, "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["systems"] == []


def test_without_peaks_nothing_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 4, with the reason."""
    world = World(tmp_path)
    assert roofline(world, monkeypatch, peaks=lambda _threads: "no C compiler is installed") == 4
    assert "the peaks are unavailable, because no C compiler is installed." in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_said_before_the_peaks_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, exit 4; in part, its files are named and the exit code is 5."""
    world = World(tmp_path)
    data = str(boolq_folder(tmp_path))
    assert call(["run", "-q", "--data", data, "--profile", "quick", "-n", "8"], world.context()) == 0
    run = Store(world.store).run("latest")
    first, *others = sorted(run.path.glob("*.json"))
    first.write_text("{")
    capsys.readouterr()
    assert roofline(world, monkeypatch, str(run.path)) == 5
    out, err = capsys.readouterr()
    assert f"{first}: skipped: " in err
    assert f"Run {run.name}: " in out
    for path in others:
        path.write_text("{")
    assert roofline(world, monkeypatch, "latest") == 4
    out, err = capsys.readouterr()
    assert (out, "no readable record" in err) == ("", True)
