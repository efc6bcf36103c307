"""The README says what the program does: its figures come from committed records, its commands exist."""

import re
from pathlib import Path

import readme

from harness.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_output_is_what_the_committed_records_render() -> None:
    """Not a digit is typed by hand: `python tests/support/readme.py` makes it again."""
    assert re.findall(r"<!-- output: .*? -->\n```text\n(.*?)```\n", README, re.DOTALL) == [readme.output()]
    assert "is the fastest variant within 1 point of accuracy" in readme.output()


def test_the_picture_is_what_the_committed_records_give_in_light_and_dark() -> None:
    """Both are in the README, have a bar for each rung, and hold the same figures."""
    for theme in ("light", "dark"):
        name = f"docs/ladder-{theme}.svg"
        assert name in README
        assert (ROOT / name).read_text(encoding="utf-8") == readme.picture(theme)
    assert readme.picture("light").count("<rect") == 6
    assert "168 [125, 225]" in readme.picture("dark")  # results/paper/boolq.md


def test_the_readme_has_at_most_900_words() -> None:
    """Tables, code and comments apart: a reader decides in a few minutes."""
    prose = re.sub(
        r"```.*?```|<!--.*?-->|<picture>.*?</picture>|^\|[^\n]*", "", README, flags=re.DOTALL | re.MULTILINE
    )
    assert len(re.sub(r"\]\([^)]*\)", "]", prose).split()) <= 900


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
