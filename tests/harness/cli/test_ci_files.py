"""The workflow files to copy, and what docs say to type: every command line is one that the program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from harness.cli.app import app
from harness.cli.context import CliContext

DOCS = Path(__file__).parents[3] / "docs"
FILES = sorted((DOCS / "ci").glob("*.yml"))


def scripts(words: Any) -> Iterator[str]:
    """Yield the lines that a runner's shell gets: `run:` of a step, `script:` of a job."""
    if isinstance(words, dict):
        for name, inner in words.items():
            if name in ("run", "script", "before_script"):
                yield from ([inner] if isinstance(inner, str) else inner)
            else:
                yield from scripts(inner)
    elif isinstance(words, list):
        for inner in words:
            yield from scripts(inner)


def command_lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = shlex.split(line.split(">>")[0].strip(), comments=True)
        if words[:1] == ["bench"]:
            yield words[1:]


def parsed(words: list[str]) -> None:
    """Parse a command line as the program does, and run nothing; an error says what is wrong."""
    command: Any = get_command(app)
    while inner := getattr(command, "commands", None):
        command, words = inner[words[0]], words[1:]
    command.make_context("bench", words, obj=CliContext(environ={}))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_workflow_measures_gates_and_uploads_by_lines_the_program_takes(file: Path) -> None:
    """It is YAML, and each line that begins with `bench` is accepted by the parser."""
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    lines = [words for script in scripts(workflow) for words in command_lines(script)]
    assert {"run", "gate", "report"} <= {words[0] for words in lines}
    assert "artifact" in file.read_text(encoding="utf-8")
    for words in lines:
        parsed(words)


def test_a_line_that_the_program_does_not_take_is_noticed() -> None:
    """So that the test above can fail."""
    with pytest.raises(Exception, match="--no-such-option"):
        parsed(["run", "--no-such-option"])


PAGES = sorted(set(DOCS.rglob("*.md")) - {DOCS / "reference" / "commands.md"})
"""That one holds usage, not lines to copy."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_indented_command_lines_of_the_docs_are_taken(page: Path) -> None:
    """Lines that a reader would copy: options that are gone, or were never there, are noticed."""
    for line in re.findall(r"^ {4}(bench (?!.*\.\.\.).*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        for words in command_lines(re.sub(r"--config \S+", "", line)):  # its file would be read
            parsed(words)
