"""The README says what the program does: its figures come from committed records, its commands exist."""

import re
from pathlib import Path

from harness.cli.app import app
from harness.cli.output.report_output import counts_in
from harness.records.store import Store
from reports import render_records

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_what_the_committed_records_render() -> None:
    """Not a digit is typed by hand."""
    tables = re.findall(r"<!-- table: (\S+) -->\n\n(.*?)\n\n<!-- end of table -->", README, re.DOTALL)
    assert tables
    store = Store(ROOT / "results")
    for run, table in tables:
        folder = store.run(run)
        records, unreadable = store.records([folder])
        assert unreadable == []
        assert table in render_records(records, "markdown", counts=counts_in([folder]))


def test_every_command_is_in_the_readme_and_every_command_there_exists() -> None:
    """The table of commands is complete."""
    named = {command.name for command in app.registered_commands} | {g.name for g in app.registered_groups}
    assert named == set(re.findall(r"^\| `bench (\w+)", README, re.MULTILINE))


def test_the_two_lines_stand_in_the_readme_as_ci_runs_them() -> None:
    """Each makes the virtual environment it needs; CI runs the second."""
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert len(lines) == 2
    assert lines[0].endswith(".venv/bin/bench run --task boolq --device cpu")
    assert lines[1].endswith(".venv-tox/bin/tox")
    assert "tox' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_no_document_names_a_path_of_somebodys_machine() -> None:
    """Documents say `--data DIR`."""
    texts = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md")))]
    assert not any(re.search(r"(?<!\w)/(root|work|home)/", text) for text in texts)
