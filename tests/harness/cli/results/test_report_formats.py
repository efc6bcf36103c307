import json
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.cli.context import CliContext


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a world with one run in its store."""
    made = World(tmp_path_factory.mktemp("world"))
    assert call(("run", "--quiet", "--data", str(boolq_folder(made.root))), made.context()) == 0
    return made


def report(world: World, *words: str, **environ: str) -> int:
    context = CliContext(environ={"BENCH_STORE": str(world.store), **environ})
    return call(("report", *words), context)


def test_two_files_go_into_a_folder_or_where_each_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stdout stays empty; stderr names them."""
    assert report(world, "--format", "github-action-benchmark", "-o", str(tmp_path / "both")) == 0
    out, err = capsys.readouterr()
    assert out == ""
    files = sorted((tmp_path / "both").iterdir())
    assert [file.name for file in files] == ["bigger-is-better.json", "smaller-is-better.json"]
    assert all(str(file) in err for file in files)
    named = f"{tmp_path / 'small.json'},{tmp_path / 'big.json'}"
    assert report(world, "--format", "github-action-benchmark", "-o", named) == 0
    assert (tmp_path / "big.json").read_bytes() == files[0].read_bytes()
    assert json.loads((tmp_path / "small.json").read_text())


@pytest.mark.parametrize(("output", "message"), [((), "2 files"), (("-o", "a,b,c"), "got 3")])
def test_two_files_that_have_no_place_are_refused(
    world: World, output: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, with what to say instead."""
    assert report(world, "--format", "github-action-benchmark", *output) == 2
    assert message in capsys.readouterr().err


def test_a_summary_is_added_to_the_one_that_github_shows(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What other parts of the step wrote stays; without that variable it is printed."""
    file = tmp_path / "summary.md"
    file.write_text("before\n", encoding="utf-8")
    assert report(world, "--format", "github-summary", GITHUB_STEP_SUMMARY=str(file)) == 0
    assert capsys.readouterr().out == ""
    assert file.read_text().startswith("before\n## bench\n")
    assert report(world, "--format", "github-summary") == 0
    assert capsys.readouterr().out.startswith("## bench\n")


def test_parquet_without_its_library_names_the_line_that_installs_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the format that holds the same."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert report(world, "--format", "parquet", "-o", str(tmp_path / "r.parquet")) == 2
    assert "pip install 'pyarrow>=17'" in capsys.readouterr().err


def test_an_unknown_format_names_the_nearest(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all there are."""
    assert report(world, "--format", "github-action-benchmarks") == 2
    assert "Did you mean github-action-benchmark" in capsys.readouterr().err
