import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from records import a_host, a_record, three_variants
from worlds import World

from harness.cli.app import call
from harness.records.record import Record
from harness.records.store import RunFolder


def store(world: World, records: list[Record]) -> None:
    """Lay records down as a run has them; their samples are not there."""
    for record in records:
        folder = world.store / "runs" / record.run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{record.cell.id}.json").write_text(record.model_dump_json())


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a store with run r1, and r2 in which int8 takes 20 % longer, on a newer kernel."""
    made = World(tmp_path)
    store(made, three_variants())
    other = a_host().model_copy(
        update={"fingerprint": "9" * 64, "facts": {**a_host().facts, "kernel": "7.0"}}
    )
    changed = three_variants(run="r2", host=other)
    changed[2] = a_record("onnx-int8", (480.0,) * 7, run="r2", host=other)
    store(made, changed)
    return made


def compare(world: World, *words: str) -> int:
    return call(("compare", *words), world.context())


def test_what_changed_is_told_cell_by_cell(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """400 ms become 480: 1/1.2 - 1 = -16.7 %; the others did not change; the new kernel is named once."""
    assert compare(world, "r1", "r2") == 0
    out = capsys.readouterr().out
    assert out.count("r1 -> r2") == 3
    assert "boolq, onnx-int8, cpu, single-stream, 2 threads, length 256: r1 -> r2" in out
    assert "-16.7 %" in out
    assert out.count("worse") >= 1
    assert out.count("Environment changed: kernel: 6.1.0, then 7.0.") == 1
    assert "two runs, paired by slice; what two runs of one thing differ by is not known" in " ".join(
        out.split()
    )


def test_a_run_against_itself_did_not_change(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """No verdict but no change, in JSON too; and nothing differs."""
    assert compare(world, "r1", "r1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    changes = [each for cell in found["cells"] for each in cell["changes"] if "verdict" in each]
    speed = [each for each in changes if each["quantity"] in ("throughput", "energy", "memory")]
    assert {each["verdict"] for each in speed} == {"no change"}
    assert all(cell["differences"] == [] for cell in found["cells"])


def test_two_records_of_one_run_are_compared_whatever_they_are(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Baseline against int8: five times the throughput, paired; the variant is named as what differs."""
    folder = world.store / "runs" / "r1"
    baseline, int8 = (next(folder.glob(f"*{name}*.json")) for name in ("pytorch-fixed", "onnx-int8"))
    assert compare(world, str(baseline), str(int8), "--format", "markdown") == 0
    out = capsys.readouterr().out
    assert "+400.0 %" in out
    assert "variant: pytorch-fixed, then onnx-int8" in out
    assert out.startswith("**Verdict.** ")
    assert "\n### boolq, onnx-int8" in out


def test_records_of_unlike_questions_are_refused_and_the_code_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4: nothing was compared."""
    store(world, [a_record("onnx-int8", run="r3", data={"fingerprint": "0" * 64})])
    assert compare(world, "r1", "r3") == 4
    assert "Refused, because the data fingerprint differs" in " ".join(capsys.readouterr().out.split())


def test_runs_without_a_cell_in_common_compare_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4, and it says so."""
    store(world, [a_record("onnx-fp32", run="r3"), a_record("null", run="r3")])
    assert compare(world, "r1", "r3") == 4
    out = " ".join(capsys.readouterr().out.split())
    assert "no cell in common" in out
    assert "They differ in variant: onnx-int8, pytorch-dynamic, pytorch-fixed, then null, onnx-fp32." in out


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_runs_on_other_threads_name_the_threads(
    world: World, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All else is equal: the setting, both values, and the cells of each run."""
    store(world, three_variants(run="r3", cell={"threads": 1}))
    assert compare(world, "r1", "r3", "--format", form) == 4
    out = " ".join(capsys.readouterr().out.split())
    assert "They differ in threads: 2, then 1." in out
    assert "Only before: boolq, onnx-int8, cpu, single-stream, 2 threads, length 256." in out
    assert "Only after: boolq, onnx-int8, cpu, single-stream, 1 thread, length 256." in out
    assert compare(world, "r1", "r3", "--json") == 4
    (unlike,) = json.loads(capsys.readouterr().out)["unlike_settings"]
    assert unlike == {"kind": "settings", "name": "threads", "before": "2", "after": "1"}


def test_settings_that_occur_in_both_runs_but_not_together_are_not_named_as_unlike(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run has a on 1 thread and b on 2, the other b on 1 and a on 2."""
    for run, threads in (("r3", (1, 2)), ("r4", (2, 1))):
        pairs = zip(("pytorch-fixed", "onnx-int8"), threads, strict=True)
        store(world, [a_record(name, run=run, cell={"threads": count}) for name, count in pairs])
    assert compare(world, "r3", "r4") == 4
    assert "Each setting occurs in both runs, but not together." in capsys.readouterr().out


def test_a_cut_record_is_named_skipped_and_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest is compared; exit 5."""
    path = next((world.store / "runs" / "r2").glob("*pytorch-fixed*.json"))
    path.write_text(path.read_text()[:100])
    assert compare(world, "r1", "r2") == 5
    out, err = capsys.readouterr()
    assert path.name in err
    assert out.count("r1 -> r2") == 2
    assert "Only before: boolq, pytorch-fixed" in out


@pytest.mark.parametrize("words", [("r1", "r9"), ("nowhere.json", "r1"), ("r1", "r2", "--format", "pdf")])
def test_what_is_not_there_is_a_usage_error(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """With the names that are."""
    assert compare(world, *words) == 2
    assert capsys.readouterr().err


def test_a_folder_of_a_run_is_a_run(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as an artifact of a CI job, unpacked anywhere; the output may go to a file."""
    shutil.copytree(world.store / "runs" / "r2", tmp_path / "unpacked")
    assert compare(world, "r1", str(tmp_path / "unpacked"), "-o", str(tmp_path / "out.txt")) == 0
    assert capsys.readouterr().out == ""
    assert "-16.7 %" in (tmp_path / "out.txt").read_text()


def test_samples_without_the_round_of_each_call_are_compared_without_them(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Latencies come from the records then, as where no samples are there."""
    assert compare(world, "r1", "r2", "--json") == 0
    expected = json.loads(capsys.readouterr().out)["cells"]
    for run in ("r1", "r2"):
        folder = RunFolder(tmp_path / "sealed" / "runs" / run)
        folder.path.mkdir(parents=True)
        for path in (world.store / "runs" / run).glob("*.json"):
            folder.seal(Record.model_validate_json(path.read_bytes()), {"call_ns": np.array([20e6, 21e6])})
    assert compare(world, "r1", "r2", "--json", "--store", str(tmp_path / "sealed")) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["changes"] for cell in cells] == [cell["changes"] for cell in expected]
