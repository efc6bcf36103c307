"""The component and the workflows to copy, and what docs say to type: lines that the program takes."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from documents import PAGES, ROOT, blocks_of
from typer.main import get_command

from harness.cli.app import app
from harness.cli.context import CliContext

DOCS = ROOT / "docs"


def scripts(words: Any) -> Iterator[str]:
    """Yield the lines that a runner's shell gets: `run:` of a step, `script:` of a job."""
    if isinstance(words, dict):
        for name, inner in words.items():
            if name in ("run", "script", "before_script", "after_script"):
                yield from ([inner] if isinstance(inner, str) else inner)
            else:
                yield from scripts(inner)
    elif isinstance(words, list):
        for inner in words:
            yield from scripts(inner)


def command_lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = shlex.split(line.split(" >")[0].strip(), comments=True)
        if words[:1] == ["bench"]:
            yield words[1:]


def parsed(words: list[str]) -> None:
    """Parse a command line as the program does, and run nothing; an error says what is wrong."""
    command: Any = get_command(app)
    while inner := getattr(command, "commands", None):
        command, words = inner[words[0]], words[1:]
    command.make_context("bench", words, obj=CliContext(environ={}))


def component() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and the job of the component for GitLab, with its inputs filled in."""
    text = (ROOT / "templates" / "gate.yml").read_text(encoding="utf-8")
    header, _, job = text.partition("\n---\n")
    inputs = yaml.safe_load(header)["spec"]["inputs"]
    values = {"model": "models/served", "install": "bench"}
    filled = re.sub(
        r"\$\[\[ inputs\.(\w+) \]\]", lambda match: inputs[match[1]].get("default") or values[match[1]], job
    )
    assert "$[[" not in filled
    return inputs, yaml.safe_load(filled)["bench-gate"]


def test_the_component_gates_by_lines_the_program_takes() -> None:
    """Its exit codes 3 and 4 fail a pipeline, 6 is a warning; the rest is read as JUnit."""
    _, job = component()
    lines = [words for script in scripts(job) for words in command_lines(script)]
    assert [words[:2] for words in lines] == [["gate", "--base"], ["gate", "--run"]]
    for words in lines:
        parsed(words)
    assert job["allow_failure"] == {"exit_codes": [6]}
    assert job["artifacts"]["when"] == "always"


def test_the_workflows_to_copy_give_inputs_that_there_are() -> None:
    """Those of the action at the top of the repository, and those of the component."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = yaml.safe_load((DOCS / "ci" / "github.yml").read_text(encoding="utf-8"))["jobs"]["gate"]["steps"]
    assert set(steps[-1]["with"]) <= set(action["inputs"])
    (include,) = yaml.safe_load((DOCS / "ci" / "gitlab.yml").read_text(encoding="utf-8"))["include"]
    inputs, _ = component()
    required = {name for name, facts in inputs.items() if "default" not in facts}
    assert required <= set(include["inputs"]) <= set(inputs)


def test_the_default_options_of_the_action_are_taken() -> None:
    """They are words of `bench gate`."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    parsed(["gate", "--base", "main", *shlex.split(action["inputs"]["options"]["default"])])


def test_the_hook_for_pre_commit_is_a_command() -> None:
    """It gets the names of the files that changed."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert re.search(hook["files"], "served/bench.yaml")
    parsed([*shlex.split(hook["entry"])[1:], "bench.yaml"])


def test_a_line_that_the_program_does_not_take_is_noticed() -> None:
    """So that the test above can fail."""
    with pytest.raises(Exception, match="--no-such-option"):
        parsed(["run", "--no-such-option"])


LINES = {
    page.relative_to(ROOT).as_posix(): [
        line
        for block in blocks_of(page.read_text(encoding="utf-8"))
        if block.language == "sh"
        for line in block.text.replace(" \\\n", " ").splitlines()
        if line.startswith("bench ") and "..." not in line
    ]
    for page in PAGES
}


@pytest.mark.parametrize("page", LINES)
def test_command_lines_of_the_docs_are_taken(page: str) -> None:
    """Lines that a reader would copy, run or not: options that are gone, or never existed, are noticed."""
    for line in LINES[page]:
        for words in command_lines(re.sub(r"--config \S+", "", line)):  # its file would be read
            parsed(words)


def test_the_docs_have_command_lines() -> None:
    """So that the test above reads some."""
    assert sum(map(len, LINES.values())) > 40
