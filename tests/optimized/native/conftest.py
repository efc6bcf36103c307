"""The compiled encoder at each level of instructions that this CPU has."""

from pathlib import Path

import pytest
import tiny
from native_reference import Function, c_functions

from optimized.native import build
from optimized.native.engine import Library


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests: each library is compiled once."""
    return tmp_path_factory.mktemp("native")


@pytest.fixture(params=build.LEVELS, ids=lambda level: level.name)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> build.Level:
    """Each level that this CPU has, as if it had no better one."""
    tried: build.Level = request.param
    if not tried.needs <= build.flags_here():
        pytest.skip(f"this CPU has not all of {', '.join(sorted(tried.needs))}")
    monkeypatch.setattr(build, "flags_here", lambda: tried.needs)
    return tried


@pytest.fixture
def library(level: build.Level, cache: Path) -> Library:
    """Compile for the level."""
    return Library(build.compiled(level, tiny.preparation_context(cache)).folder / build.LIBRARY)


@pytest.fixture(scope="session")
def best(cache: Path) -> Library:
    """Compile for the best level of this CPU."""
    level = build.level_of(build.flags_here())
    assert level is not None
    return Library(build.compiled(level, tiny.preparation_context(cache)).folder / build.LIBRARY)


@pytest.fixture(scope="session")
def gelu(tmp_path_factory: pytest.TempPathFactory) -> Function:
    """C's polynomial, which another test holds against the function that it stands for."""
    return c_functions(tmp_path_factory.mktemp("functions"), "gelu")["gelu"]
