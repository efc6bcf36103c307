"""The figures of docs/explanation/design.md: what is counted, and the goals that the tree keeps."""

from pathlib import Path

import pytest
from devtools.structure import children, floors, imports_between_units

import harness

ROOT = Path(str(harness.__file__)).parents[1]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in ("harness", "baselines", "optimized", "reports")
    for path in (ROOT / package).rglob("*.py")
}


def test_units_that_import_one_another_stand_on_one_floor() -> None:
    """A -> b <-> c -> d: d is on 1, b and c on 2, a on 3."""
    assert floors({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == {"a": 3, "b": 2, "c": 2, "d": 1}


def test_an_import_inside_a_function_is_an_arrow() -> None:
    """It is the same dependency, a little later."""
    sources = {
        "harness/cli/app.py": "def call():\n    from reports.page import Page\n",
        "reports/page.py": "from harness.records import x\n",
        "harness/records.py": "",
    }
    expected = {"harness.cli": {"reports"}, "reports": {"harness.records"}, "harness.records": set()}
    assert imports_between_units(sources) == expected


@pytest.mark.parametrize(("folder", "count"), children(SOURCES).items())
def test_no_folder_has_more_than_twelve_children(folder: str, count: int) -> None:
    """More than that cannot be taken in at a glance."""
    assert count <= 12, folder


def test_the_units_stand_on_nine_floors_at_most() -> None:
    """From `harness.common` to `harness.cli`."""
    assert max(floors(imports_between_units(SOURCES)).values()) <= 9
