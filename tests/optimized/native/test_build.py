"""Levels of instructions, and the compiler."""

from pathlib import Path

import pytest
from native_reference import needs_compiler

from baselines.hardware.c_program import compiler
from harness.common.errors import DeviceError
from optimized.native import build
from optimized.native.engine import Library


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fma avx2 avx512f avx512bw avx512vl avx512_vnni avx_vnni", "avx512-vnni"),
        ("fma avx2 avx_vnni", "avx-vnni"),
        ("fma avx2 avx512f avx512bw avx512vl", "avx512"),
        ("fma avx2 avx512f", "avx2"),
        ("avx2", None),
    ],
)
def test_the_best_level_that_a_cpu_has_is_taken(flags: str, level: str | None) -> None:
    """VNNI before AVX-512 without it; AVX2 with FMA at least."""
    found = build.level_of(flags.split())
    assert (found.name if found else None) == level


@needs_compiler
@pytest.mark.parametrize("level", build.LEVELS, ids=lambda level: level.name)
def test_every_level_is_understood_by_the_compiler(level: build.Level, tmp_path: Path) -> None:
    """Also those whose instructions this CPU may lack: what cannot run here can be read here."""
    command = compiler()
    assert command
    build.build(tmp_path / "none.so", (*level.options, "-fsyntax-only", "-Werror"), command)


@needs_compiler
def test_what_the_compiler_says_is_passed_on(tmp_path: Path) -> None:
    """One line, and what to do."""
    command = compiler()
    assert command
    with pytest.raises(DeviceError, match=r"could not compile the encoder: .*error") as caught:
        build.build(tmp_path / "broken.so", ("-DPORTABLE=oops",), command)
    assert "CC" in str(caught.value)


def test_a_cpu_without_flags_has_no_level(tmp_path: Path) -> None:
    """No file, no flags."""
    assert build.flags_here(tmp_path / "none") == frozenset()


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "encoder.so").write_bytes(b"no library")
    with pytest.raises(DeviceError, match="does not load"):
        Library(tmp_path / "encoder.so")
