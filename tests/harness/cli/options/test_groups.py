"""Groups of options: a dataclass in a signature becomes the options of a command."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import typer
from typer.main import get_command

from harness.cli.app import COMMANDS, call
from harness.cli.context import CliContext
from harness.cli.options.amount import LaunchOptions
from harness.cli.options.data import PredictedData, RunData
from harness.cli.options.groups import OptionGroup, add_command, expand_options, option_app, run_options
from harness.cli.options.load import LoadOptions
from harness.cli.options.panels import plain_option, what_option
from harness.cli.options.selection import VariantOptions


class Colours(OptionGroup):
    """Two options."""

    colour: Annotated[str | None, what_option("--colour NAME", "A colour.")] = None
    shades: Annotated[int | None, plain_option("--shades N", "How many.")] = None


def app_of(function: Callable[..., None]) -> typer.Typer:
    app = option_app("A program.")
    add_command(app, "paint", function)
    add_command(app, "wash", lambda: None)
    return app


def test_a_group_is_one_parameter_and_its_fields_are_options() -> None:
    """Arguments and options of the command itself stay; the context is passed on, Typer's too if declared."""
    got: dict[str, Any] = {}

    def paint(
        typer_context: typer.Context,
        context: CliContext,
        wall: Annotated[str, typer.Argument()],
        colour: Colours,
        coats: Annotated[int, typer.Option("--coats")] = 1,
    ) -> None:
        """Paint a wall."""
        got.update(
            source=typer_context.get_parameter_source("shades"), context=context, wall=wall,
            colour=(colour.colour, colour.shades), coats=coats,
        )  # fmt: skip

    context = CliContext(environ={})
    words = ["paint", "north", "--colour", "blue", "--coats", "2"]
    app_of(paint)(words, obj=context, standalone_mode=False)
    assert getattr(got.pop("source"), "name", "") == "DEFAULT"
    assert got == {"context": context, "wall": "north", "colour": ("blue", None), "coats": 2}


def test_help_shows_options_by_panel_in_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    """Options without a panel first; --help with the last."""

    def paint(colour: Colours) -> None:
        """Paint a wall."""
        del colour

    app_of(paint)(["paint", "--help"], standalone_mode=False)
    assert capsys.readouterr().out.splitlines()[4:] == [
        "Options:",
        "  --shades N     How many.",
        "",
        "What:",
        "  --colour NAME  A colour.",
        "  --debug        Print the traceback of a bug, and what workers log.",
        "  --help         Show this message and exit.",
    ]


def test_an_expanded_command_keeps_its_name_and_help() -> None:
    """Typer makes both from the function."""

    def paint(colour: Colours) -> None:
        """Paint a wall."""
        del colour

    expanded = expand_options(paint)
    assert (expanded.__name__, expanded.__doc__) == ("paint", "Paint a wall.")
    assert list(inspect.signature(expanded).parameters) == ["typer_context", "colour", "shades"]


def test_groups_amount_to_the_options_of_a_run(tmp_path: Path) -> None:
    """Each sets its own fields; what no group sets has its default."""
    file = tmp_path / "reviews.csv"
    file.write_text("")
    options = run_options(
        RunData(task="custom", data=file, text="a, b", labels="no,yes", held_out=0.5),
        VariantOptions(variants="onnx-int8", scenario="server,offline"),
        LaunchOptions(precision="2%", time_budget="10m", launches=3, limit=7),
        LoadOptions(batch="8,32", rate="1.5", slo="p99=20ms", window="0.25s"),
    )
    assert (options.task, options.own.text, options.own.labels) == ("custom", ("a", "b"), ("no", "yes"))
    assert (options.variants, options.scenarios) == (("onnx-int8",), ("server", "offline"))
    assert (options.precision, options.time_budget_s, options.launches) == (0.02, 600, 3)
    assert (options.batches, options.rates, options.slo) == ((8, 32), (1.5,), "p99=20ms")
    assert (options.window_ms, options.sample, options.seed) == (250, 7, 0)
    assert PredictedData(data=file).predicted_split == "all"
    assert PredictedData(data=tmp_path).predicted_split == PredictedData().predicted_split == "test"


def test_an_option_with_choices_names_them_all() -> None:
    """Its placeholder is written by hand, since Typer's differs between versions."""
    seen = 0
    groups = [OptionGroup]
    while groups:
        group = groups.pop()
        groups += group.__subclasses__()
        for field in fields(group) if group is not OptionGroup else ():  # type: ignore[arg-type]
            kind, option = get_args(field.type)[:2]
            kinds = [kind, *get_args(kind)]
            for choices in (get_args(each) for each in kinds if get_origin(each) is Literal):
                assert option.metavar == "|".join(choices)
                seen += 1
    assert seen > 5


def options_of(name: str) -> set[str]:
    from harness.cli.app import app

    command: Any = get_command(app)
    return {word for each in command.commands[name].params for word in each.opts if not each.hidden}


def test_whatever_takes_a_task_takes_a_users_own_data() -> None:
    """Gate, predict, export and score as much as run."""
    data = {"--task", "--data", "--text", "--label", "--metric", "--labels", "--held-out"}
    for name in ("run", "ladder", "prepare", "search", "gate", "train", "predict", "score", "export"):
        assert data <= options_of(name), name
    for name in ("run", "gate", "predict", "score", "export"):
        assert "--split" in options_of(name)


def test_no_command_repeats_the_options_of_a_group() -> None:
    """A command's own function stays short: options are declared once, in groups."""
    for commands in COMMANDS.values():
        for name, command in commands.items():
            lines, _ = inspect.getsourcelines(command)
            assert len(lines) <= 40, (name, len(lines))


@pytest.mark.parametrize(("former", "name"), [("optimize", "prepare"), ("tune", "search")])
def test_a_former_name_works_and_names_the_new_one(
    capsys: pytest.CaptureFixture[str], former: str, name: str
) -> None:
    """One line on stderr; the help does not show it."""
    assert call([former, "--help"], CliContext(environ={})) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: bench {name} ")
    assert err == f"bench: `bench {former}` is now `bench {name}`; the old name will be removed.\n"
    assert call(["--help"], CliContext(environ={})) == 0
    assert f"\n  {former} " not in capsys.readouterr().out
