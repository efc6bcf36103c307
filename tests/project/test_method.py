"""The table of rules in docs/explanation/method.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = (
    (ROOT / "docs" / "explanation" / "method.md")
    .read_text(encoding="utf-8")
    .partition("## Where each rule is held")[2]
)
ROWS = re.findall(r"^\| (\w+) \| (.+?) \| (.+) \|$", RULES, re.MULTILINE)


def test_every_test_that_holds_a_rule_exists() -> None:
    """A rule whose test was renamed or deleted is held by nothing."""
    found = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert set(re.findall(r"`(test_\w+)`", RULES)) - found == set()


def test_every_rule_has_a_row_and_something_that_holds_it() -> None:
    """The 21 rules by number, and those of stopping, validity, counts and windows."""
    assert {str(number) for number in range(1, 22)} <= {name for name, _, _ in ROWS}
    assert {"stop", "valid", "counts", "window"} <= {name for name, _, _ in ROWS}
    assert all(rule.strip() and held.strip() for _, rule, held in ROWS)
