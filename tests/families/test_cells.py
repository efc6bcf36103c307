"""Every family through every engine and recipe that its facts allow, as docs/reference/families.md has it.

The ordinary suite tries a part. `tox -e families` sets FAMILIES=all and tries every cell.
"""

import os
import re
from pathlib import Path

import encoders
import pytest
from family_cells import (
    BOUND,
    COLUMNS,
    ENGINES,
    KINDS,
    LEAST_EQUAL,
    RECIPES,
    Workshop,
    cell,
    refusal,
    variants,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "families.md"
EVERY = os.environ.get("FAMILIES") == "all"
PART = (
    ("mpnet", "pruning"),
    ("modernbert", "early exit"),
    ("electra", "token dropping"),
)
CELLS = [(kind, column) for kind in KINDS for column in COLUMNS] if EVERY else PART


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all checkpoints and the cache."""
    return tmp_path_factory.mktemp("families")


def documented() -> dict[tuple[str, str], str]:
    """Return the entries of the table in the documentation, a number replaced by its note."""
    text = DOCUMENT.read_text(encoding="utf-8")
    notes = dict(re.findall(r"^(\d+)\. (.+)$", text, flags=re.MULTILINE))
    rows = [line.strip("| \n").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    titles = {title: kind for kind, title in KINDS.items()}
    assert tuple(rows[0][1:]) == COLUMNS
    return {
        (titles[title], column): notes.get(entry.strip("()"), entry)
        for title, *entries in rows[1:]
        for column, entry in zip(COLUMNS, entries, strict=True)
    }


@pytest.mark.parametrize(("kind", "column"), CELLS)
def test_a_cell_is_complete_and_equal_or_refused_with_a_fact(kind: str, column: str, root: Path) -> None:
    """Float32 gives every answer of PyTorch, int8 at least 98 %; the documentation says the same."""
    if column in ENGINES and (reason := variants()[column].unavailable()):
        pytest.skip(reason)
    outcome = cell(column, Workshop(root, kind))
    entry = documented()[kind, column]
    if outcome.refused:
        assert " has no " in outcome.refused or " does not support " in outcome.refused
        assert entry.lower() == outcome.refused.lower()
        return
    assert outcome.equal >= LEAST_EQUAL
    if not column.endswith("int8"):
        assert outcome.equal == 1
        assert outcome.difference < BOUND
    assert entry in ("equal", "98 %")


@pytest.mark.parametrize("kind", KINDS)
def test_the_documentation_refuses_what_the_variants_refuse(kind: str) -> None:
    """Without trying: what config.json tells of every engine."""
    table = documented()
    for column in ENGINES:
        reason = refusal(variants()[column], encoders.config_of(kind).to_dict())
        assert (
            (table[kind, column].lower() == reason.lower())
            if reason
            else table[kind, column] in ("equal", "98 %")
        )
    assert set(RECIPES) < set(COLUMNS)
