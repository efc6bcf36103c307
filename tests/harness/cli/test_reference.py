import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from harness.cli.app import app
from harness.cli.reference import reference, walk_commands

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"


def test_the_page_is_what_the_commands_say_of_themselves() -> None:
    """Made again by one command, which the failure names."""
    made = PAGE.read_text(encoding="utf-8") == reference()
    assert made, "run: python -m harness.cli.reference > docs/reference/commands.md"


def test_every_command_and_option_of_the_parser_is_on_the_page() -> None:
    """With all its names, and nothing beyond them."""

    def parsed(command: Any) -> set[str]:
        return {
            word
            for each in command.params
            if not getattr(each, "hidden", False) and each.name != "help"
            for word in (*each.opts, *each.secondary_opts)
            if word.startswith("-")
        }

    sections = re.split(r"^## (.+)$", reference(), flags=re.MULTILINE)[1:]
    told = {
        name: {
            word
            for names in re.findall(r"^\| (`-.*?) \|", body, re.MULTILINE)
            for word in re.findall(r"`(-[^`]*)`", names)
        }
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }
    assert told == {name: parsed(command) for name, command in walk_commands(get_command(app), "bench")}
    assert len(told) > 25


def test_every_option_of_a_measurement_stands_in_a_panel() -> None:
    """In the help and on the page alike; `Options` is for what belongs to one command alone."""
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", reference(), re.MULTILINE))
    for name in ("run", "ladder", "prepare", "search", "gate", "predict", "train"):
        panels = re.findall(r"^\| (\w[\w ]*) \| meaning", sections[f"bench {name}"], re.MULTILINE)
        assert set(panels) <= {"Gate", "Data", "What", "How much", "How", "Output"}
        assert {"Data", "What", "How", "Output"} <= set(panels)


def test_an_option_is_told_with_its_value_meaning_variable_and_default() -> None:
    """A hidden one is not."""
    text = reference()
    assert "| `--device` `NAME` | cpu, cuda or cuda:N. Or `BENCH_DEVICE`. | `cpu` |" in text
    assert "| `--limit`, `-n` `N` | Timed examples (default: the profile's). |  |" in text
    assert "--debug-" not in text
