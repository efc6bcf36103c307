"""docs/reference/engines.md: every variant has an engine, whose settings, sources and trials are stated."""

from pathlib import Path

import pytest
from devtools.engines import ENGINES, OTHERS, page, variants_by_engine

from harness.catalog import load_catalog

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_code_generates() -> None:
    """A new variant or another setting changes it: `PYTHONPATH=tests/support python -m devtools.engines`."""
    assert (ROOT / "docs" / "reference" / "engines.md").read_text(encoding="utf-8") == page()


def test_every_variant_of_the_catalog_appears_once() -> None:
    """Under its engine, or among what is no engine."""
    names = sorted(load_catalog().variants)
    grouped = variants_by_engine(names)
    assert sorted([*OTHERS, *(name for group in grouped.values() for name in group)]) == names
    assert all(grouped.values())


def test_a_variant_of_an_unknown_engine_is_not_passed_over() -> None:
    """Its engine must be described first."""
    with pytest.raises(StopIteration):
        variants_by_engine(["tensorrt-fp16"])


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_engine_has_sources_deviations_and_trials(engine: object) -> None:
    """None is left empty."""
    sources = engine.sources  # type: ignore[attr-defined]
    assert sources
    assert all(all(source) for source in sources)
    assert engine.deviations  # type: ignore[attr-defined]
    assert engine.tried  # type: ignore[attr-defined]
