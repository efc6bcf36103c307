"""`results/`: its pages are what their records give, and its index is what the pages and records give."""

import re
from pathlib import Path

import pytest
import typer.main
from devtools.results_command import command_of
from devtools.results_index import TOPICS, index_of, published_runs
from devtools.results_pages import Page, load_pages, render_page

from harness.cli.app import app
from harness.records.record import Record
from harness.records.store import Store

RESULTS = Path(__file__).parents[2] / "results"
PAGES = load_pages(RESULTS)
INDEX = (RESULTS / "index.md").read_text(encoding="utf-8")


def record_of(page: str) -> Record:
    """Return the first record of a page's first run."""
    (run,) = next(each.runs[:1] for each in PAGES if f"{each.topic}/{each.path.stem}" == page)
    store = Store(RESULTS)
    return store.records([store.run(run)])[0][0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.topic}/{page.path.stem}")
def test_a_page_of_results_is_rendered_from_its_records(page: Page) -> None:
    """Its first line names the runs; everything below the next blank line is their report."""
    assert render_page(page, RESULTS).rstrip("\n") == page.body.rstrip("\n")


def test_the_index_is_what_its_program_prints() -> None:
    """`PYTHONPATH=tests/support python -m devtools.results_index > results/index.md` makes it again."""
    assert index_of(RESULTS) == INDEX


def test_every_page_and_every_run_is_in_the_index() -> None:
    """A page in the table of its topic; a run in the row of its page, or among those without one."""
    assert {page.topic for page in PAGES} == set(TOPICS)
    linked = re.findall(r"\]\(([^)#]+)\)", INDEX)
    assert {link for link in linked if link.startswith(tuple(TOPICS))} == {
        f"{page.topic}/{page.path.name}" for page in PAGES
    }
    assert {link for link in linked if link.startswith("runs/")} == {
        f"runs/{name}" for name in published_runs(RESULTS)
    }
    without_page = INDEX.partition("## Runs without a page")[2].partition("```sh")[0]
    in_pages = {run for page in PAGES for run in page.runs}
    assert in_pages.isdisjoint(re.findall(r"\(runs/([^)]+)\)", without_page))


def test_only_the_readme_and_the_index_are_outside_the_folders_of_topics() -> None:
    """A page at the top would be in no table."""
    assert {path.name for path in RESULTS.glob("*.md")} == {"README.md", "index.md"}


def test_a_page_without_the_command_of_a_report_is_refused(tmp_path: Path) -> None:
    """What is typed by hand is held to no record."""
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "typed.md").write_text("# Fast\n\n520 times\n")
    with pytest.raises(
        ValueError, match="expected the command of a report or a plan on the first line, got '# Fast'"
    ):
        load_pages(tmp_path)


def test_commands_in_the_index_take_options_that_exist() -> None:
    """For `bench run`, `bench ladder` and `bench plan`, each on one or more lines."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^bench (run|ladder|plan) (.*)$", INDEX.replace(" \\\n", " "), re.MULTILINE)
    assert len(lines) >= len(PAGES)
    for name, arguments in lines:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[\w-]+", arguments)) <= options


def test_a_command_leaves_defaults_out_and_names_the_rungs_of_a_part_of_a_ladder() -> None:
    """A study of shapes; a ladder that ships, whole, with a parameter; a run of variants."""
    assert (
        command_of(record_of("paper/shapes"))
        == "bench ladder --shapes paper --threads 2 --profile quick --rounds 11 --limit 22"
    )
    assert command_of(record_of("paper/cb")).startswith(
        "bench ladder --ladder fastformers --set epochs=8 --task cb"
    )
    assert "--rungs onnx-int8,native-int8 --threads 1" in command_of(record_of("rivals/4L-312-one-core"))
    assert command_of(record_of("adaptive/rte")).startswith("bench ladder --ladder FILE --set epochs=4")
    assert command_of(record_of("method/two-speeds")) == (
        "bench run --task boolq --variants pytorch-dynamic,onnx-fp32,onnx-int8,native-int8 "
        "--threads 2 --rounds 22 \\\n"
        "    --launches 2"
    )


def test_a_command_has_rates_windows_and_model_servers() -> None:
    """Records hold no address and no command of a server: a person puts them in."""
    assert command_of(record_of("servers/boolq")).endswith(
        "--system-server infinity:COMMAND --system-separator 'infinity: [SEP] '"
    )
    (loaded,) = (page.runs[1] for page in PAGES if page.topic == "plans")
    store = Store(RESULTS)
    command = command_of(store.records([store.run(loaded)])[0][0])
    assert command.startswith("bench ladder --shapes paper --rungs '8h-600 native' --threads 2")
    assert command.replace(" \\\n   ", "").endswith("--rate 200,400 --window 5000ms")


def test_a_setting_that_has_no_option_in_the_command_is_refused() -> None:
    """A command that leaves it out would measure something else."""
    record = record_of("method/two-speeds")
    changed = record.model_copy(update={"configuration": record.configuration | {"slo": "p99=20ms"}})
    with pytest.raises(ValueError, match="settings without an option in the command: slo"):
        command_of(changed)
