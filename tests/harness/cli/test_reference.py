from pathlib import Path
from typing import Any

from typer.main import get_command

from harness.cli.app import app
from harness.cli.reference import commands, parameters, reference

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"


def test_the_page_is_what_the_commands_say_of_themselves() -> None:
    """Made again by one command, which the failure names."""
    made = PAGE.read_text(encoding="utf-8") == reference()
    assert made, "run: python -m harness.cli.reference > docs/commands.md"


def test_every_command_and_option_of_the_parser_is_on_the_page() -> None:
    """The page reads annotations; the parser has the last word, and knows nothing beyond them."""

    def parsed(command: Any, name: str) -> dict[str, set[str]]:
        own = {
            word
            for each in command.params
            if not getattr(each, "hidden", False) and each.name != "help"
            for word in (*each.opts, *each.secondary_opts)
            if word.startswith("-")
        }
        inner = getattr(command, "commands", {})
        below = [parsed(each, f"{name} {word}") for word, each in inner.items()]
        mine = {name: own} if own or not inner else {}
        return {key: words for part in (mine, *below) for key, words in part.items()}

    told = {
        name: {
            word
            for each in parameters(callback)
            if not each.argument
            for long in each.names
            for word in long.split("/")
        }
        for name, callback in commands(app)
    }
    assert told == parsed(get_command(app), "bench")


def test_an_option_is_told_with_its_value_meaning_variable_and_default() -> None:
    """A hidden one is not."""
    text = reference()
    assert "| `--device` `TEXT` | cpu, cuda or cuda:N. Or `BENCH_DEVICE`. | `cpu` |" in text
    assert "| `--limit`, `-n` `INTEGER` | Timed examples, instead of the profile's. |  |" in text
    assert "--debug-" not in text
