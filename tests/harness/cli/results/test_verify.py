"""`bench verify` of runs, as a whole command."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.common.progress import NoProgress
from harness.records.store import Store
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.testing.world import altered
from harness.workload.data import lengths
from harness.workload.tasks import get_task


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    data = str(boolq_folder(tmp_path))
    assert bench(made, "run", "-q", "--data", data, "--profile", "quick", "-n", "32") == 0
    return made


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def test_a_run_is_verified_by_name_folder_or_store(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each group of checks; the data are compared where they are named."""
    run = Store(world.store).run("latest")
    data = str(world.root / "data")
    for asked in ("latest", run.name, str(run.path), str(world.store)):
        capsys.readouterr()
        assert bench(world, "verify", asked, "--data", data) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{run.name}: 4 records"
        assert [line.split()[0] for line in lines if not line.startswith(" " * 15)][1:12] == ["yes"] * 11
    assert bench(world, "verify", "latest") == 0
    assert "not checked, because the data are not available: name them with --data" in capsys.readouterr().out


def test_the_random_texts_of_shapes_are_drawn_again(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with `--shapes` names no data: its seed gives them. Of another version the reason is that."""
    options = RunOptions(
        task="boolq",
        source=lengths.lengths_data(world.cache, get_task("boolq"), seed=3),
        seed=3,
        profile="quick",
        sample=16,
        quality="sample",
    )
    store = Store(world.store)
    machine = altered(world.machine, suffix=lambda: "0002")
    execute(start(options, world.catalog, store, world.cache, machine, NoProgress()))
    assert bench(world, "verify", "latest") == 0
    assert "  yes          data " in capsys.readouterr().out
    monkeypatch.setattr(lengths, "VERSION", 2)
    assert bench(world, "verify", "latest") == 0
    out = capsys.readouterr().out
    assert "not checked, because this version draws other texts for --shapes from the same seed" in out


def test_a_changed_record_is_named_with_both_figures(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 7, for people and for machines."""
    run = Store(world.store).run("latest")
    path = min(run.path.glob("*.json"))
    words = json.loads(path.read_text())
    words["rounds"][1]["requests"] += 1
    path.write_text(json.dumps(words))
    capsys.readouterr()
    assert bench(world, "verify", "latest") == 7
    out = capsys.readouterr().out
    assert f"{path.stem}: content_sha256: the record has {words['content_sha256'][:57]}" in out
    assert f"{path.stem}, round 1: requests: the record has" in out
    assert bench(world, "verify", "latest", "--json") == 7
    facts = json.loads(capsys.readouterr().out)[0]
    assert facts["sound"] is False
    assert {one["name"] for one in facts["checks"] if one["verdict"] == "no"} == {"content", "rounds"}


def test_what_cannot_be_read_and_what_nobody_names_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record of a newer version, and samples without a record."""
    run = Store(world.store).run("latest")
    (run.path / "new.json").write_text('{"schema_version": 99}')
    (run.path / "stray.npz").write_bytes(b"x")
    capsys.readouterr()
    assert bench(world, "verify", "latest") == 7
    out = capsys.readouterr().out
    assert "new.json: schema version 99, and this program reads 1 to" in out
    assert "stray.npz: samples that no record names" in out


def test_an_unfinished_run_without_records_has_nothing_to_verify(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4: no figure was compared, so the run is not self-consistent. In a store, others count."""
    run = Store(world.store).run("latest")
    begun = run.path.with_name("20990101-000000-boolq-0000")
    (begun / "journal").mkdir(parents=True)
    (begun / "journal" / "plan.json").write_text("{}")
    capsys.readouterr()
    assert bench(world, "verify", begun.name) == 4
    out = capsys.readouterr().out
    assert "  not checked  self-consistent: the run has no record that can be read" in out
    assert f"the run is unfinished: `bench run --resume {begun.name}` continues it" in out
    assert bench(world, "verify", begun.name, "--json") == 4
    assert json.loads(capsys.readouterr().out)[0]["self_consistent"] is None
    assert bench(world, "verify", str(world.store)) == 0


def test_a_page_that_is_not_what_its_runs_give_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stored report is rendered again."""
    run = Store(world.store).run("latest")
    page = world.store / "mine-runs.md"
    capsys.readouterr()
    assert bench(world, "report", run.name, "--format", "markdown") == 0
    shown = capsys.readouterr().out
    head = f"<!-- bench report {run.name} --format markdown -->\n\n"
    page.write_text(head + shown)
    assert bench(world, "verify", "latest") == 0
    assert "  yes          report" in capsys.readouterr().out
    page.write_text(head + shown.replace("onnx-int8", "onnx-int9", 1))
    assert bench(world, "verify", "latest") == 7
    assert "mine-runs.md: its runs render to something else" in capsys.readouterr().out


def test_pages_in_folders_of_the_store_are_compared_too(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that groups its pages; a Markdown file in the folder of a run is not a page."""
    run = Store(world.store).run("latest")
    page = world.store / "rivals" / "mine.md"
    page.parent.mkdir()
    page.write_text(f"<!-- bench report {run.name} --format markdown -->\n\nanother table\n")
    (run.path / "notes.md").write_text(page.read_text())
    capsys.readouterr()
    assert bench(world, "verify", "latest") == 7
    out = capsys.readouterr().out
    assert "rivals/mine.md: its runs render to something else" in out
    assert "notes.md" not in out


def test_a_page_that_cannot_be_checked_is_noted_with_the_reason(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe, a folder, a link that leads nowhere, a run that is gone: none ends the verification."""
    run = Store(world.store).run("latest")
    os.mkfifo(world.store / "a.md")
    (world.store / "b.md").mkdir()
    (world.store / "c.md").symlink_to("nowhere")
    (world.store / "d.md").write_text(f"<!-- bench report gone {run.name} --format markdown -->\n\ntable\n")
    (world.store / "e.md").write_text(
        f"<!-- bench report {run.name} --format markdown --price-per-hour 1.2.3 -->\n\nnot a price\n"
    )
    capsys.readouterr()
    assert bench(world, "verify", "latest") == 0
    out = capsys.readouterr().out
    for reason in (
        "a.md: expected a regular file, got a pipe",
        "b.md: expected a regular file, got a folder",
        "c.md: there is no such file",
        "d.md: unknown run 'gone'",
    ):
        assert f"not checked, because {reason}\n" in out
    assert "e.md" not in out


def test_an_argument_that_means_nothing_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown run with the nearest; a folder without records; a file that is not there."""
    assert bench(world, "verify", "lates") == 2
    (world.root / "empty").mkdir()
    assert bench(world, "verify", str(world.root / "empty")) == 2
    assert "no records in this folder" in capsys.readouterr().err
    assert bench(world, "verify", str(world.root / "none.jsonl")) == 2


def test_a_pipe_is_refused_and_not_waited_for(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whether it looks like an archive was asked of its content, which nobody writes."""
    os.mkfifo(pipe := tmp_path / "pipe")
    assert bench(world, "verify", str(pipe)) == 2
    assert "is not a run" in capsys.readouterr().err


def test_a_copy_of_a_run_outside_a_store_is_verified_without_pages(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whatever pages lie near it are not read: two folders above it is no store."""
    run = Store(world.store).run("latest")
    copy = shutil.copytree(run.path, tmp_path / "mail" / run.name)
    os.mkfifo(tmp_path / "page.md")
    assert bench(world, "verify", str(copy)) == 0
    assert "no page of the store is a report on these runs" in capsys.readouterr().out


def test_a_prediction_file_is_for_bench_score(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The former form `bench verify FILE`, with its options, names the command that took its place."""
    file = world.root / "BoolQ.jsonl"
    file.write_text("")
    capsys.readouterr()
    assert bench(world, "verify", str(file), "--task", "boolq", "--split", "val") == 2
    assert capsys.readouterr().err == (
        f"bench: {file} is not a run.\nTo check a prediction file: bench score FILE.\n"
    )


def test_a_run_that_agrees_with_itself_is_not_thereby_authentic(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are stated, and what the figures rest on, for people and for machines."""
    capsys.readouterr()
    assert bench(world, "verify", "latest") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  yes          self-consistent: figures, raw values and hashes agree" in lines
    assert (
        "  not shown    authentic: not signed: anybody who can write the files could have made them" in lines
    )
    assert any(line.startswith("  on trust     peak memory: the kernel showed it once") for line in lines)
    assert bench(world, "verify", "latest", "--json") == 0
    facts = json.loads(capsys.readouterr().out)[0]
    assert (facts["self_consistent"], facts["signature"]["state"]) == (True, "none")
    assert "energy" in {part["figures"] for part in facts["trusted"]}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a new private key, with a list of allowed signers beside it."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    public = path.with_suffix(".pub").read_text()
    (tmp_path / "signers").write_text(f'alice@example.org namespaces="bench" {public}')
    return path


def test_a_signed_run_is_somebodys(world: World, capsys: pytest.CaptureFixture[str], key: Path) -> None:
    """The signer's name comes from the list; without it the key is nobody's."""
    signers = str(key.with_name("signers"))
    assert bench(world, "verify", "latest", "--signers", signers) == 7, "it is not signed yet"
    assert bench(world, "verify", "latest", "--sign", str(key)) == 0
    capsys.readouterr()
    assert bench(world, "verify", "latest", "--signers", signers) == 0
    assert "  yes          authentic: signed by alice@example.org (ED25519 SHA256:" in capsys.readouterr().out
    assert bench(world, "verify", "latest") == 0
    assert "  not shown    authentic: signed by the key ED25519 SHA256:" in capsys.readouterr().out
    assert bench(world, "verify", "latest", "--sign", str(key)) == 2, "it is signed already"


def test_a_run_that_does_not_agree_with_itself_is_not_signed(
    world: World, capsys: pytest.CaptureFixture[str], key: Path
) -> None:
    """Nor one that is not there."""
    run = Store(world.store).run("latest")
    path = min(run.path.glob("*.json"))
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert bench(world, "verify", "latest", "--sign", str(key)) == 7
    assert not (run.path / "SHA256SUMS").exists()
    capsys.readouterr()
    assert bench(world, "verify", "latest", "--signers", str(key.with_name("none"))) == 2
    assert "no such file" in capsys.readouterr().err
