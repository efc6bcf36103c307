"""What messages tell a user to type: every option that they name is one that the program has there."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from typer.main import get_command

import harness
from harness.cli.app import app

ROOT = Path(str(harness.__file__)).parents[1]
PACKAGES = ("harness", "baselines", "optimized", "reports")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")

OF_OTHERS = {
    *("--global", "--unshallow", "--local", "--all", "--add"),  # git
    *("--security-opt", "--cap-add", "--gpus"),  # Docker and Podman
    "--force-reinstall",  # pip
    "--port",  # serve_http.py of an exported folder
    "--model-repository",  # Triton
    "--rest",  # _port of OpenVINO Model Server
}
"""Options of other programs that messages name."""

GLOBAL = {"--help", "--debug", "--version"}

SHARED = ("harness/runs/planning", "harness/runs/execution")
"""Code that serves both `bench run` and `bench gate`."""


def commands(command: Any = None, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield each command's name, `cache prune` for instance, with its options."""
    command = command or get_command(app)
    for inner_name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {inner_name}".strip())
    if name and not hasattr(command, "commands"):
        yield (
            name,
            {
                option
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            },
        )


OPTIONS: Mapping[str, set[str]] = dict(commands())
ANY = set().union(*OPTIONS.values()) | GLOBAL


def messages(path: Path) -> Iterator[str]:
    """Yield the texts of a module that are not docstrings; what an f-string fills in is `...`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped |= {id(inner) for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(inner) for inner in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def sentences() -> Iterator[tuple[str, str]]:
    """Yield the module and the text of every message with a blank: an option's name alone is no message."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for text in messages(path) if "--" in path.read_text(encoding="utf-8") else ():
                if "--" in text and " " in text.strip():
                    yield path.relative_to(ROOT).as_posix(), text


MESSAGES = tuple(sentences())


def unknown_options(text: str) -> list[str]:
    """Return the options in a message that the program lacks: all of it, or the command that it quotes."""
    wrong = []
    for quoted in re.findall(r"`bench ([a-z][^`]*)`", text):
        name = next((name for name in OPTIONS if f"{quoted} ".startswith(f"{name} ")), None)
        has = OPTIONS[name] | GLOBAL if name else GLOBAL
        wrong += [f"bench {name}: {option}" for option in OPTION.findall(quoted) if option not in has]
    return wrong + [option for option in OPTION.findall(text) if option not in ANY | OF_OTHERS]


def test_the_gate_takes_every_option_of_a_run() -> None:
    """So that whatever a run's messages name can be given to a gate too: its sides are on one host."""
    assert OPTIONS["run"] - OPTIONS["gate"] == {"--cluster", "--hosts", "--per-host"}


def test_no_message_names_an_option_that_its_command_lacks() -> None:
    """In `bench COMMAND --option` it is one of the command, and elsewhere one of any."""
    assert len(MESSAGES) > 100
    wrong = [(module, text, options) for module, text in MESSAGES if (options := unknown_options(text))]
    assert not wrong


def test_messages_that_runs_and_gates_share_name_options_that_both_have() -> None:
    """Planning and measuring serve both; what they print of rungs is for ladders."""
    wrong = [
        (module, text)
        for module, text in MESSAGES
        if module.startswith(SHARED) and "rung" not in text
        for option in OPTION.findall(re.sub(r"`bench [^`]*`", "", text))
        if option not in OPTIONS["run"] | OF_OTHERS
    ]
    assert not wrong


def test_an_option_that_is_not_there_is_noticed() -> None:
    """So that the tests above can fail."""
    assert unknown_options("Add --no-such-option.") == ["--no-such-option"]
    assert unknown_options("Try `bench cache prune --rounds 5`.") == ["bench cache prune: --rounds"]
    assert not unknown_options("Try `bench run --rounds 5`, or --limit.")
