"""docs/reference/gallery.md is made of the committed records."""

import re
from pathlib import Path

import pytest
from gallery import gallery, page

from reports.plots import Plot, as_svg, data_csv

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference" / "gallery"


@pytest.fixture(scope="module")
def plots() -> list[Plot]:
    """Make the plots from the records."""
    return gallery(ROOT / "results")


def test_the_gallery_is_what_its_command_makes(plots: list[Plot]) -> None:
    """Page and data to the letter; drawings may differ in a pixel between versions of what draws them."""
    assert (ROOT / "docs" / "reference" / "gallery.md").read_text(encoding="utf-8") == page(plots)
    for plot in plots:
        assert (FOLDER / f"{plot.name}.csv").read_text(encoding="utf-8") == data_csv(plot)
    assert {path.stem for path in FOLDER.iterdir()} == {plot.name for plot in plots}


def test_its_drawings_say_the_same_and_are_small(plots: list[Plot]) -> None:
    """The same words in the same order, each file under 60 kB."""

    def said(svg: str) -> list[str]:
        return re.findall(r"<text[^>]*>([^<]*)</text>", svg)

    for plot in plots[:2]:
        assert said((FOLDER / f"{plot.name}.svg").read_text(encoding="utf-8")) == said(as_svg(plot))
    assert max(path.stat().st_size for path in FOLDER.iterdir()) < 60_000
