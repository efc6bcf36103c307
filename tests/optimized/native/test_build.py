"""Levels of instructions, and the compiler."""

import json
import platform
from pathlib import Path
from typing import Any

import pytest
import tiny
from native_reference import needs_compiler

from baselines.hardware.c_program import compiler, run_command
from harness.common.errors import DeviceError
from optimized.native import build
from optimized.native.engine import Library
from optimized.native.levels import compile_command


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fma avx2 avx512f avx512bw avx512vl avx512_vnni avx_vnni", "avx512-vnni"),
        ("fma avx2 avx_vnni", "avx-vnni"),
        ("fma avx2 avx512f avx512bw avx512vl", "avx512"),
        ("fma avx2 avx512f", "avx2"),
        ("avx2", None),
        ("fp asimd atomics asimddp i8mm", "i8mm"),
        ("fp asimd atomics asimddp", "dotprod"),
        ("fp asimd", None),
    ],
)
def test_the_best_level_that_a_cpu_has_is_taken(flags: str, level: str | None) -> None:
    """VNNI before AVX-512 without it, AVX2 with FMA at least; on ARM dot products at least."""
    found = build.level_of(flags.split())
    assert (found.name if found else None) == level


@needs_compiler
@pytest.mark.parametrize(
    "level",
    [level for level in build.LEVELS if level.machine == platform.machine()],
    ids=lambda level: level.name,
)
def test_every_level_is_understood_by_the_compiler(level: build.Level, tmp_path: Path) -> None:
    """Also those whose instructions this CPU may lack: what cannot run here can be read here."""
    command = compiler()
    assert command
    options = (*level.options, "-fsyntax-only", "-Werror")
    run_command(compile_command([command], level.symbol, options, tmp_path / "none.o"))


@needs_compiler
def test_what_the_compiler_says_is_passed_on(tmp_path: Path) -> None:
    """One line, and what to do."""
    command = compiler()
    assert command
    with pytest.raises(DeviceError, match=r"could not compile the encoder: .*error") as caught:
        build.build(tmp_path / "broken.so", ("-DPORTABLE=oops",), command)
    assert "CC" in str(caught.value)


@pytest.mark.parametrize("name", ["flags\t\t", "Features\t"])
def test_flags_are_those_of_the_first_cpu(tmp_path: Path, name: str) -> None:
    """The kernel calls them flags on x86 and features on ARM."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{name}: fma avx2\nprocessor\t: 1\n{name}: fma\n")
    assert build.flags_here(cpuinfo) == {"fma", "avx2"}


def test_a_cpu_without_flags_has_no_level(tmp_path: Path) -> None:
    """No file, no flags."""
    assert build.flags_here(tmp_path / "none") == frozenset()


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "encoder.so").write_bytes(b"no library")
    with pytest.raises(DeviceError, match="does not load"):
        Library(tmp_path / "encoder.so")


@needs_compiler
def test_a_library_without_the_level_is_refused(wheel: Path) -> None:
    """With the function that it lacks."""
    with pytest.raises(DeviceError, match=r"does not load .*encoder_layout_avx1024"):
        Library(wheel.with_name(build.LIBRARY), "avx1024")


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Path:
    """Put a library into a wheel's folder, and take the compiler away; return the file that describes it."""
    level = build.level_of(build.flags_here())
    assert level is not None
    compiled = build.prepare_library(level, tiny.preparation_context(cache)).folder / build.LIBRARY
    (tmp_path / build.LIBRARY).write_bytes(compiled.read_bytes())
    description = {"source": build.source_sha256(), "compiler": "cc 1.2", "levels": [level.name]}
    (tmp_path / build.DESCRIPTION).write_text(json.dumps(description))
    monkeypatch.setattr(build, "PREBUILT", tmp_path)
    monkeypatch.setenv("CC", "no-such-compiler")
    return tmp_path / build.DESCRIPTION


@needs_compiler
def test_the_library_of_the_wheel_is_taken_and_needs_no_compiler(wheel: Path, tmp_path: Path) -> None:
    """The manifest has the compiler that made it."""
    level = build.level_of(build.flags_here())
    assert level is not None
    assert build.unavailable(level) is None
    artifact = build.prepare_library(level, tiny.preparation_context(tmp_path / "cache"))
    assert artifact.manifest["compiler"] == "cc 1.2, prebuilt"
    library, taken = Library(artifact.folder / build.LIBRARY, level.name), wheel.with_name(build.LIBRARY)
    assert (artifact.folder / build.LIBRARY).read_bytes() == taken.read_bytes()
    assert library.layout.vector_bytes == level.vector_bytes


@needs_compiler
@pytest.mark.parametrize(
    "change", [{"source": "of another version"}, {"levels": []}], ids=["other sources", "no such level"]
)
def test_a_library_that_does_not_fit_is_not_taken(
    wheel: Path, change: dict[str, Any], tmp_path: Path
) -> None:
    """Then a compiler is needed, and the reason says so."""
    wheel.write_text(json.dumps({**json.loads(wheel.read_text()), **change}))
    level = build.level_of(build.flags_here())
    assert level is not None
    assert "no prebuilt encoder; without it you lose up to half of the speed" in str(build.unavailable(level))
    with pytest.raises(DeviceError, match="no C compiler on PATH, and no prebuilt encoder"):
        build.prepare_library(level, tiny.preparation_context(tmp_path / "cache"))
