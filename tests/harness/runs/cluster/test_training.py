"""A training on a host: its command, what is sent of it, and what another host takes. Ray is not needed."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.common.errors import StoreError
from harness.runs.cluster import point
from harness.runs.cluster.point import Point, digest_of
from harness.runs.cluster.training import Trained, add_artifact, run_training
from harness.systems.artifact_cache import ArtifactCache

RECIPE, ENGINE = "a" * 64, "b" * 64

PROGRAM = f"""
import json, os, pathlib, signal, sys
folder, handle, *words = sys.argv[1:]
os.dup2(int(handle), 1)
if words[0] == "train":
    output = pathlib.Path(words[words.index("--output") + 1])
    if "--killed" in words and not output.with_suffix(".begun").exists():
        output.with_suffix(".begun").write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    output.mkdir()
    (output / "training.json").write_text("{{}}")
elif "--fails" in words:
    sys.exit("bench: no space is left.")
else:
    print(json.dumps([
        {{"rung": "small", "key": "{ENGINE}", "preparation": [{{"key": "{RECIPE}"}}, {{"key": "{ENGINE}"}}]}},
        {{"rung": "broken", "failed": "no"}},
    ]))
"""
"""A `bench` that trains at once, or is killed the first time, or fails."""


@pytest.fixture(autouse=True)
def fake_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point, "PROGRAM", PROGRAM)


def trained(
    tmp_path: Path, command: str, *words: str, expected: Mapping[str, str | None] | None = None
) -> Trained:
    asked = Point("job", "train-small", words, str(tmp_path), {}, command)
    return run_training(asked, "a", {}, tmp_path / "cache", expected or {})


def artifact(root: Path, key: str) -> None:
    with ArtifactCache(root).writing(key) as folder:
        (folder / "manifest.json").write_text(json.dumps({"recipe": "distil"}))
        (folder / "deeper").mkdir()
        (folder / "deeper/weights").write_bytes(b"w")


def test_a_trained_checkpoint_is_sent_as_its_files_and_the_host_keeps_nothing(tmp_path: Path) -> None:
    """A training that was killed is started again, in the same folder, and goes on."""
    result = trained(tmp_path, "train", "--killed")
    assert (result.exit_code, result.folders) == (0, {"model": {"training.json": b"{}"}})
    assert not list((tmp_path / "cache").glob("trainings/**/train-small"))


def test_what_recipes_made_is_sent_and_what_depends_on_a_cpu_is_not(tmp_path: Path) -> None:
    """The last step of a rung is its engine's; the seal is written anew by the cache that takes it."""
    artifact(tmp_path / "cache", RECIPE)
    artifact(tmp_path / "cache", ENGINE)
    result = trained(tmp_path, "prepare")
    assert {key: sorted(files) for key, files in result.folders.items()} == {
        RECIPE: ["deeper/weights", "manifest.json"]
    }


def test_a_host_takes_an_artifact_of_another_once(tmp_path: Path) -> None:
    """Under the same key, with the same files."""
    artifact(tmp_path / "cache", RECIPE)
    files = trained(tmp_path, "prepare").folders[RECIPE]
    for _ in range(2):
        add_artifact(RECIPE, files, tmp_path / "other")
    (taken,) = ArtifactCache(tmp_path / "other").artifacts()
    assert digest_of(str(taken.folder)) == digest_of(str(tmp_path / "cache/artifacts" / RECIPE))


def test_a_training_that_failed_sends_its_last_message(tmp_path: Path) -> None:
    """And no folder."""
    result = trained(tmp_path, "prepare", "--fails")
    assert (result.exit_code, result.folders) == (1, {})
    assert result.text == "ended on a with exit 1: bench: no space is left."


def test_a_host_with_other_files_trains_nothing(tmp_path: Path) -> None:
    """By their sha256."""
    data = tmp_path / "data.csv"
    data.write_text("other")
    result = trained(tmp_path, "train", expected={str(data): "0" * 64})
    assert (result.exit_code, result.folders) == (2, {})
    assert f"{data} is not there, or differs" in result.text
    assert trained(tmp_path, "train", expected={str(data): digest_of(str(data))}).exit_code == 0


@pytest.mark.parametrize(
    ("key", "name"), [(RECIPE, "../evil"), (RECIPE, "/evil"), ("../evil", "manifest.json"), (RECIPE, "")]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, key: str, name: str) -> None:
    """Of a file, or of an artifact."""
    with pytest.raises(StoreError, match="a host sent"):
        add_artifact(key, {name: b"x"}, tmp_path / "cache")
    assert not list(tmp_path.rglob("evil"))
