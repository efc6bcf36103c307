import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.systems.artifact_cache import ArtifactCache, in_use
from harness.testing.world import NOON

DAY = 86_400.0


def bench(world: World, *words: str) -> int:
    return call(["cache", *words], world.context())


def made(world: World, key: str, *, days: float = 0, size: int = 1000, **manifest: Any) -> Path:
    """Put an artifact of `size` bytes and its manifest into the cache, last used so many days before noon."""
    with ArtifactCache(world.cache).writing(key) as folder:
        (folder / "model.bin").write_bytes(bytes(size))
        (folder / "manifest.json").write_text(json.dumps({"recipe": "r", **manifest}))
    return used(world.cache / "artifacts" / key, days)


def used(folder: Path, days: float) -> Path:
    """Date a folder and what is in it."""
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (NOON.timestamp() - days * DAY,) * 2)
    return folder


def keys(world: World) -> list[str]:
    return [artifact.key for artifact in ArtifactCache(world.cache).artifacts()]


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


PREAMBLE = """
import sys, time
from pathlib import Path
from harness.systems.artifact_cache import ArtifactCache, in_use
cache = ArtifactCache(Path(sys.argv[1]))
"""


@contextmanager
def another_process(world: World, body: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program with the cache until the block ends; the block begins when it has printed a line."""
    words = [sys.executable, "-P", "-c", PREAMBLE + body, str(world.cache)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_list_says_what_is_there_and_what_it_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Artifacts by their last use, encodings, unfinished work, the data, and the total."""
    world = World(tmp_path)
    made(world, "a" * 64, days=3, recipe="onnx-fp32", parents=["b" * 64], seconds=5.25)
    made(world, "encoded-" + "c" * 32, days=1, recipe="encoded split")
    work = world.cache / "working" / ("d" * 64)
    work.mkdir(parents=True)
    (work / "step.bin").write_bytes(bytes(2000))
    used(work, 0.5)
    (world.cache / "data").mkdir()
    (world.cache / "data" / "rows.jsonl").write_bytes(bytes(10))
    assert bench(world, "list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][0] == "key"
    assert lines[1][:3] == ["c" * 12, "encoded", "split"]
    assert lines[2][:3] == ["a" * 12, "onnx-fp32", "b" * 12]
    assert lines[2][5:] == ["3", "d", "ago", "3", "d", "ago", "5.2", "s"]
    assert lines[3] == ["d" * 12, "unfinished", "-", "2.0", "kB", "12", "h", "ago", "12", "h", "ago", "-"]
    assert " ".join(lines[4]).startswith("1 artifact (")
    assert "1 unfinished (2.0 kB), data (10 B)" in " ".join(lines[4])
    assert bench(world, "list", "--json") == 0
    facts = told(capsys)
    assert [entry["kind"] for entry in facts["entries"]] == ["encoding", "artifact", "unfinished"]
    assert facts["entries"][1]["key"] == "a" * 64
    assert facts["entries"][1]["seconds"] == 5.25
    assert facts["entries"][1]["used"] == "2025-12-29T12:00:00+00:00"
    assert facts["bytes"]["total"] == sum(entry["bytes"] for entry in facts["entries"]) + 10


def test_an_empty_cache_has_a_list_and_nothing_to_check_or_remove(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is a folder made for it."""
    world = World(tmp_path)
    assert [bench(world, *words) for words in (["list"], ["check", "-q"], ["prune", "--all"])] == [0, 0, 0]
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "0 sound, 0 broken, 0 not checkable",
        "0 removed, 0 B freed, 0 B left",
    ]
    assert not world.cache.exists()


def test_a_manifest_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its control characters are shown."""
    world = World(tmp_path)
    made(world, "k", recipe="\x1b[2Jred")
    bench(world, "list")
    assert "\\x1b[2Jred" in capsys.readouterr().out


def test_a_sound_cache_is_said_to_be_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also while others use it."""
    world = World(tmp_path)
    folder = made(world, "k")
    with in_use([folder]):
        assert bench(world, "check", "-q") == 0
    assert capsys.readouterr().out == "1 sound, 0 broken, 0 not checkable\n"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"1" + bytes(999)), "the content of model.bin has changed"),
        (lambda path: path.write_bytes(bytes(999)), "model.bin has 999 bytes instead of 1,000"),
        (lambda path: path.unlink(), "model.bin is missing"),
        (lambda path: (path.parent / "files.json").write_text("[1"), "files.json cannot be read"),
        (lambda path: (path.parent / "files.json").write_text('{"a": 1}'), "a is missing"),
        (lambda path: (path.parent / "manifest.json").write_text("{}"), "manifest.json has 2 bytes"),
        (lambda path: (path.parent / "manifest.json").write_text("{"), "manifest.json has 1 bytes"),
    ],
)
def test_what_is_not_what_was_put_there_is_named_and_repair_removes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, said: str
) -> None:
    """Exit code 5 while it is there; the sound one stays."""
    world = World(tmp_path)
    spoil(made(world, "bad") / "model.bin")
    made(world, "good")
    assert bench(world, "check", "-q") == 5
    out = capsys.readouterr().out
    assert out.startswith("broken: bad ")
    assert said in out
    assert bench(world, "check", "-q", "--repair", "--json") == 0
    found = {one["key"]: (one["state"], one["removed"]) for one in told(capsys)}
    assert found == {"bad": ("broken", True), "good": ("sound", False)}
    assert not (world.cache / "artifacts" / "bad").exists()
    assert bench(world, "check", "-q") == 0


def test_a_broken_artifact_that_is_in_use_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named again, with exit code 5."""
    world = World(tmp_path)
    folder = made(world, "bad")
    (folder / "model.bin").unlink()
    with in_use([folder]):
        assert bench(world, "check", "-q", "--repair") == 5
    assert "broken: bad r:" in capsys.readouterr().out
    assert folder.exists()


def test_an_artifact_of_an_older_version_is_not_checkable_and_not_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no files.json; it is found and used as before."""
    world = World(tmp_path)
    (made(world, "old") / "files.json").unlink()
    assert bench(world, "check", "-q", "--repair") == 0
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "not checkable: old r: it has no files.json: an older version made it",
        "0 sound, 0 broken, 1 not checkable",
    ]
    assert ArtifactCache(world.cache).find("old") is not None


def test_prune_asks_what_shall_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing by default; an amount without a unit is refused too."""
    world = World(tmp_path)
    made(world, "k")
    assert bench(world, "prune") == 2
    assert "--older-than 30d" in capsys.readouterr().err
    assert bench(world, "prune", "--max-size", "5") == 2
    assert "--max-size must be a number with a unit, got '5'" in capsys.readouterr().err
    assert bench(world, "prune", "--older-than", "3MB") == 2
    assert keys(world) == ["k"]


def test_what_was_not_used_for_long_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is found is used: an old artifact that a run found yesterday stays."""
    world = World(tmp_path)
    for key, days in (("old", 31), ("found", 300), ("new", 29)):
        made(world, key, days=days)
    assert ArtifactCache(world.cache).find("found") is not None
    assert bench(world, "prune", "--older-than", "30d", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("would be removed: old r, 1.")
    assert len(keys(world)) == 3
    assert bench(world, "prune", "--older-than", "30d") == 0
    assert capsys.readouterr().out.startswith("removed: old r, 1.")
    assert keys(world) == ["found", "new"]


def test_the_least_recently_used_make_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three of a bit over 10 kB under 25 kB: one goes, or the next where that one is in use."""
    world = World(tmp_path)
    folders = [made(world, key, days=days, size=10_000) for key, days in (("a", 3), ("b", 2), ("c", 1))]
    with in_use(folders[:1]):
        assert bench(world, "prune", "--max-size", "25kB", "--json") == 0
    facts = told(capsys)
    assert [entry["key"] for entry in facts["removed"]] == ["b"]
    assert [entry["key"] for entry in facts["in_use"]] == ["a"]
    assert facts["freed_bytes"] > 10_000
    assert 20_000 < facts["left_bytes"] < 25_000
    assert keys(world) == ["a", "c"]
    assert bench(world, "prune", "--max-size", "25kB") == 0
    assert capsys.readouterr().out.startswith("0 removed, 0 B freed, 20.")


def test_unfinished_work_goes_when_its_process_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A killed process leaves its working folder; while it lives, nothing removes it."""
    world = World(tmp_path)
    body = """
with cache.working("k") as folder:
    (folder / "step.bin").write_bytes(bytes(100))
    print("ready", flush=True)
    time.sleep(60)
"""
    with another_process(world, body) as process:
        assert bench(world, "prune", "--unfinished", "--all") == 0
        assert capsys.readouterr().out.startswith("kept, in use: k unfinished, 100 B\n0 removed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with ArtifactCache(world.cache).working("k") as folder:
            assert (folder / "step.bin").exists(), "whoever goes on finds what was done"
            (folder / "more.bin").write_bytes(bytes(20))
            os.utime(folder)
        assert not folder.exists()
    with another_process(world, body):
        pass
    assert bench(world, "prune", "--unfinished") == 0
    assert capsys.readouterr().out == "removed: k unfinished, 100 B\n1 removed, 100 B freed, 0 B left\n"
    assert list((world.cache / "working").iterdir()) == []


def test_a_folder_that_is_being_filled_stays_until_its_process_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no artifact, and neither check nor prune touches it."""
    world = World(tmp_path)
    body = """
with cache.writing("k") as folder:
    (folder / "model.bin").write_bytes(bytes(100))
    print("ready", flush=True)
    time.sleep(60)
"""
    with another_process(world, body):
        assert bench(world, "check", "-q") == 0
        assert bench(world, "prune", "--all") == 0
        assert "0 removed" in capsys.readouterr().out
        assert len(list((world.cache / "artifacts").iterdir())) == 1
    assert bench(world, "prune", "--all") == 0
    assert "1 removed, 100 B freed" in capsys.readouterr().out
    assert list((world.cache / "artifacts").iterdir()) == []


def test_an_artifact_in_use_by_another_process_stays(tmp_path: Path) -> None:
    """Until that process is gone."""
    world = World(tmp_path)
    made(world, "k")
    body = """
with in_use([cache.find("k").folder]):
    print("ready", flush=True)
    time.sleep(60)
"""
    with another_process(world, body):
        assert bench(world, "prune", "--all") == 0
        assert keys(world) == ["k"]
    assert bench(world, "prune", "--all") == 0
    assert keys(world) == []


def test_what_a_run_measures_stays_while_it_measures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers may load an artifact again at any time."""
    from harness.runs.execution import run as sweep

    world, measure = World(tmp_path), sweep.measure_group

    def pruned_meanwhile(*words: Any) -> None:
        assert bench(world, "prune", "--all") == 0
        measure(*words)

    monkeypatch.setattr(sweep, "measure_group", pruned_meanwhile)
    words = ["run", "--data", str(boolq_folder(tmp_path)), "--rounds", "3", "-n", "32", "-q"]
    assert call([*words, "--variants", "onnx-fp32,onnx-int8"], world.context()) == 0
    assert capsys.readouterr().out.count("kept, in use: onnx-") == 2
    assert len(keys(world)) == 2
    assert bench(world, "prune", "--all") == 0
    assert keys(world) == []


CROWD = """
import hashlib, random
from harness.common.errors import StoreError
from harness.systems.cache_maintenance import PruneRequest, check_entry, cache_entries, prune
me = random.Random(int(sys.argv[2]))
print("ready", flush=True)
end = time.monotonic() + 1.5
held = 0
while time.monotonic() < end:
    if int(sys.argv[2]) < 2:
        prune(cache, PruneRequest(everything=True), time.time())
        time.sleep(0.01)
        continue
    key = f"k{me.randrange(3)}"
    found = cache.find(key)
    if found is None:
        with cache.writing(key) as folder:
            (folder / "one").write_text(key)
            (folder / "manifest.json").write_text("{}")
            (folder / "two").write_text(key)
        continue
    try:
        with in_use([found.folder]):
            assert [(found.folder / name).read_text() for name in ("one", "two")] == [key, key]
            assert (found.folder / "files.json").exists()
            held += 1
    except StoreError:
        pass  # removed between the two: it says so
    for entry in cache_entries(cache):
        verdict = check_entry(entry)
        assert verdict is None or not verdict.broken, verdict
print(held)
"""


def test_filling_using_checking_and_pruning_at_once_spoil_nothing(tmp_path: Path) -> None:
    """Two processes prune all the time, four fill, use and check: what is held is whole, and stays."""
    world = World(tmp_path)
    words = [sys.executable, "-P", "-c", PREAMBLE + CROWD, str(world.cache)]
    crowd = [
        subprocess.Popen([*words, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(6)
    ]
    ends = [process.communicate(timeout=60) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 6, [error[-2000:] for _, error in ends]
    assert sum(int(out.split()[-1]) for out, _ in ends) > 0, "nobody ever held an artifact"
    assert bench(world, "prune", "--all") == 0
    assert list((world.cache / "artifacts").iterdir()) == []


def test_what_was_half_removed_by_a_killed_process_is_absent_and_swept_up(tmp_path: Path) -> None:
    """The kill falls between the renaming and the last file."""
    world = World(tmp_path)
    made(world, "k")
    body = """
import os, shutil
shutil.rmtree = lambda *_, **__: (print("ready", flush=True), time.sleep(60))
cache.remove(cache.find("k").folder)
"""
    with another_process(world, body):
        assert ArtifactCache(world.cache).find("k") is None
    assert keys(world) == []
    assert len(list((world.cache / "artifacts").iterdir())) == 1
    assert bench(world, "prune", "--unfinished") == 0
    assert list((world.cache / "artifacts").iterdir()) == []
