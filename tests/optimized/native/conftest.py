"""The compiled encoder at each level of instructions that this CPU has, and in plain C."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from native_reference import Function, c_functions, compile_library

from optimized.native import build, levels
from optimized.native.engine import Library

FUSED = ("-mavx2", "-mfma") if {"avx2", "fma"} <= levels.flags_here() else ()
"""Options with which plain C fuses products and sums, as all levels do."""


BEST = build.level_of(build.flags_here())
LEVELS = [level for level in build.LEVELS if BEST is None or level.machine == BEST.machine]
"""Those of the machine."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests: each library is compiled once."""
    return tmp_path_factory.mktemp("native")


@pytest.fixture(params=LEVELS, ids=lambda level: level.name)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> build.Level:
    """Each level that this CPU has, as if it had no better one."""
    tried: build.Level = request.param
    if not tried.needs <= build.flags_here():
        pytest.skip(f"this CPU has not all of {', '.join(sorted(tried.needs))}")
    monkeypatch.setattr(build, "flags_here", lambda: tried.needs)
    return tried


@pytest.fixture
def library(level: build.Level, cache: Path) -> Library:
    """Compile for the level, or take it from the wheel."""
    return library_of(level, cache)


@pytest.fixture(scope="session")
def best(cache: Path) -> Library:
    """Compile for the best level of this CPU."""
    level = build.level_of(build.flags_here())
    assert level is not None
    return library_of(level, cache)


@pytest.fixture(scope="session")
def plain_c(cache: Path) -> Callable[[int], Library]:
    """Compile plain C with vectors of so many bytes, whose instructions this CPU may not have."""

    @functools.cache
    def compiled(width: int) -> Library:
        options = (f"-DPORTABLE={width}", "-O1", "-fexpensive-optimizations", *FUSED)
        return compile_library(cache / f"plain-{width}.so", *options)

    return compiled


@pytest.fixture(scope="session")
def gelu(tmp_path_factory: pytest.TempPathFactory) -> Function:
    """C's polynomial, which another test holds against the function that it stands for."""
    return c_functions(tmp_path_factory.mktemp("functions"), "gelu")["gelu"]


def library_of(level: build.Level, cache: Path) -> Library:
    artifact = build.prepare_library(level, tiny.preparation_context(cache))
    return Library(artifact.folder / build.LIBRARY, level.name)
