"""The programs that build the wheels and test the library of aarch64, without the minutes that they take."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from devtools import aarch64, wheels

from optimized.native.levels import LEVELS, MACHINES

NAME = "bench-1.0-py3-none-manylinux_2_28_aarch64.whl"


def wheel_with(folder: Path, levels: list[str]) -> Path:
    path = folder / NAME
    with zipfile.ZipFile(path, "w") as file:
        description = {"source": "", "compiler": "cc 1.2", "levels": levels}
        file.writestr("optimized/native/prebuilt/encoder.json", json.dumps(description))
    return path


@pytest.mark.parametrize("needed", ["manylinux_2_17_aarch64", "manylinux_2_28_aarch64"])
def test_a_wheel_that_needs_no_more_than_its_name_promises_is_accepted(
    needed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its levels and its compiler are printed."""
    monkeypatch.setattr(wheels, "platform_of", lambda _: needed)
    wheels.check(wheel_with(tmp_path, ["i8mm", "dotprod"]))
    assert capsys.readouterr().out == f"{NAME}: needs {needed}, cc 1.2, i8mm, dotprod\n"


@pytest.mark.parametrize(
    ("needed", "levels", "problem"),
    [
        ("manylinux_2_34_aarch64", ["i8mm", "dotprod"], "needs manylinux_2_34_aarch64"),
        ("linux_aarch64", ["i8mm", "dotprod"], "needs linux_aarch64"),
        ("manylinux_2_17_aarch64", ["dotprod"], r"has the levels \['dotprod'\], not \['i8mm', 'dotprod'\]"),
    ],
)
def test_a_wheel_that_promises_too_much_is_refused(
    needed: str, levels: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer C library, or a level that its compiler did not have."""
    monkeypatch.setattr(wheels, "platform_of", lambda _: needed)
    with pytest.raises(SystemExit, match=problem):
        wheels.check(wheel_with(tmp_path, levels))


def test_zig_is_given_the_architecture_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every other option as it is, spaces included."""
    monkeypatch.setattr(sys, "executable", "/bin/echo")
    script = wheels.zig("aarch64", tmp_path)
    (options,) = (level.options for level in LEVELS if level.name == "i8mm")
    printed = subprocess.run([script, *options, "-c", "a b.c"], check=True, capture_output=True, text=True)
    assert printed.stdout == (
        "-m ziglang cc -target aarch64-linux-gnu.2.28 -mcpu=generic+v8_2a+dotprod+i8mm -c a b.c\n"
    )


def test_every_level_belongs_to_a_machine_that_a_wheel_is_for() -> None:
    """Their names differ, since a library's functions end with them."""
    assert MACHINES == ("x86_64", "aarch64")
    assert len({level.symbol for level in LEVELS}) == len(LEVELS)


def test_without_the_tools_a_message_names_the_packages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the environment passes."""
    monkeypatch.setenv("PATH", "")
    assert aarch64.main([]) == 0
    assert "did not run: not on PATH: aarch64-linux-gnu-gcc, qemu-aarch64" in capsys.readouterr().out
