"""`bench roofline` as a whole command, with peaks that nobody measured."""

import json
from pathlib import Path
from typing import Any

import pytest
from worlds import World

from harness.catalog import Peaks
from harness.cli.app import call

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
