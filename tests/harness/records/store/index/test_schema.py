import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.records.store.index.schema import SCHEMA, VIEWS, schema_version

PAGE = (Path(__file__).parents[5] / "docs" / "howto" / "query.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_has_every_column_of_a_view_and_no_other(view: str) -> None:
    """A section for each view, with its columns in the first cell of a row."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        columns = [column[0] for column in connection.execute(f"select * from {view}").description]
    (section,) = re.findall(rf"^### {view}\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`.+?`) \| .+ \|$", section, re.MULTILINE)
    assert sorted(name for cell in cells for name in re.findall(r"`(\w+)`", cell)) == sorted(columns)


def test_another_version_of_the_program_or_of_the_schema_is_another_number() -> None:
    """SQLite keeps 32 bits with a sign."""
    assert schema_version("0.1.0") != schema_version("0.1.1")
    assert 0 <= schema_version("0.1.0") < 2**31
