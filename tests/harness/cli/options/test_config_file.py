"""`bench run --config`, `bench.yaml` and `--dry-run`, as whole commands."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.records.store import Store
from harness.testing.world import altered

QUICK = "profile: quick\nlimit: 12\nvariants: [pytorch-fixed, onnx-int8]\nquality: sample\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    boolq_folder(tmp_path)
    return World(tmp_path)


def bench(world: World, *words: str, defaults: str = "") -> int:
    file = world.root / "bench.yaml"
    file.write_text(defaults)
    counter = iter(range(100))
    world.machine = altered(world.machine, suffix=lambda: f"{next(counter):04}")
    return call(words, replace(world.context(), defaults=file))


def config(world: World, text: str) -> str:
    file = world.root / "sweep.yaml"
    file.write_text(f"data: {world.root / 'data'}\n{text}")
    return str(file)


def configurations(world: World) -> list[dict[str, object]]:
    store = Store(world.store)
    records, _ = store.records(store.runs())
    found = {record.run: record.configuration for record in records}
    return list(found.values())


def test_what_is_crossed_makes_a_run_each_and_the_report_shows_them_apart(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two numbers of threads by two lengths; each record says which is its own."""
    file = config(world, QUICK + "sweep:\n  threads: [1, 2]\n  max-length: [64, 128]\n")
    assert bench(world, "run", "-q", "--config", file) == 0
    asked = [(each["threads"], each["max_length"]) for each in configurations(world)]
    assert asked == [(1, 64), (1, 128), (2, 64), (2, 128)]
    assert {each["profile"] for each in configurations(world)} == {"quick"}
    out = capsys.readouterr().out
    assert all(f"at most {length} tokens" in out for length in (64, 128))
    assert bench(world, "report", *[folder.name for folder in Store(world.store).runs()]) == 0
    again = capsys.readouterr().out
    assert out.startswith(again.partition("\nVerdict")[0].rstrip("\n"))


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_defaults(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data come from the file's folder, but for a variable that names another; and so on."""
    monkeypatch.setenv("BENCH_DEVICE", "cpu")
    file = config(world, QUICK + "device: cuda\nthreads: 1\n")
    words = ("run", "-q", "--config", file, "--max-length", "32")
    assert bench(world, *words, defaults="threads: 2\nmax-length: 99\nseed: 7\n") == 0
    (asked,) = configurations(world)
    assert (asked["device"], asked["threads"], asked["max_length"], asked["seed"]) == ("cpu", 1, 32, 7)


def test_a_flag_has_its_say_over_a_list_of_values_too(world: World) -> None:
    """One run then, not three."""
    file = config(world, QUICK + "sweep:\n  threads: [1, 2]\n  seed: [3]\n")
    assert bench(world, "run", "-q", "--config", file, "--threads", "2") == 0
    assert [(each["threads"], each["seed"]) for each in configurations(world)] == [(2, 3)]


def test_the_store_of_the_environment_beats_that_of_the_defaults(world: World) -> None:
    """As for every other option."""
    data = str(world.root / "data")
    defaults = f"store: {world.root / 'elsewhere'}\nprofile: quick\nlimit: 12\n"
    assert bench(world, "run", "-q", "--data", data, defaults=defaults) == 0
    assert not (world.root / "elsewhere").exists()
    assert len(Store(world.store).runs()) == 1


@pytest.mark.parametrize(
    ("text", "defaults", "message"),
    [
        ("thraeds: 2\n", "", "sweep.yaml:2: unknown option 'thraeds'.\nDid you mean threads"),
        ("threads: two\n", "", "sweep.yaml:2: --threads: "),
        ("sweep:\n  threads: [1, two]\n", "", "sweep.yaml:3: --threads: "),
        ("", "rounds: 3\nlmit: 2\n", "bench.yaml:2: unknown option 'lmit'.\nDid you mean limit"),
        ("", "sweep:\n  threads: [1]\n", "bench.yaml: a sweep cannot be a default."),
        ("resume: latest\n", "", "sweep.yaml:2: unknown option 'resume'"),
    ],
)
def test_a_word_that_no_option_has_is_refused_before_anything_else(
    world: World, capsys: pytest.CaptureFixture[str], text: str, defaults: str, message: str
) -> None:
    """File, line, the nearest name; exit code 2; nothing stored."""
    assert bench(world, "run", "-q", "--config", config(world, text), defaults=defaults) == 2
    assert message in capsys.readouterr().err
    assert not world.store.exists()


def test_what_the_gate_reads_in_the_defaults_is_left_alone(world: World) -> None:
    """Its rules are its own. A section that no command reads is refused, since it would have no effect."""
    assert bench(world, "list", defaults="gate:\n  anything: {at: all}\n") == 0
    assert bench(world, "list", defaults="compare: 1\n") == 2


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a record of a cell it cannot know the time; with one it does; nothing is written."""
    file = config(world, QUICK + "sweep:\n  threads: [1, 2]\n")
    assert bench(world, "run", "-q", "--config", file, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "boolq on cpu, single-stream, encoded, 1 thread, at most 256 tokens" in out
    assert "  3 rounds of 12 requests, 12 different ones\n" in out
    assert out.count("unknown: the store has no record of it") == 4
    assert "2 runs, 2 groups, 4 cells: expected time unknown." in out
    assert not world.store.exists()
    assert not world.cache.exists()
    assert bench(world, "run", "-q", "--config", file, "--threads", "2") == 0
    before = sorted(world.root.rglob("*"))
    capsys.readouterr()
    assert bench(world, "run", "-q", "--config", file, "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.count("unknown: the store has no record of it") == 2
    assert "4 cells: at least, for the 2 cells with a record, 1 s." in out
    assert sorted(world.root.rglob("*")) == before


def test_a_dry_run_speaks_to_machines(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Cells with their settings and seconds, or null where these cannot be known."""
    data = str(world.root / "data")
    assert bench(world, "run", "-q", "--data", data, "--dry-run", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    (group,) = told["groups"]
    assert [cell["variant"] for cell in group["cells"]][:2] == ["pytorch-fixed", "pytorch-dynamic"]
    assert {cell["seconds"] for cell in group["cells"]} == {None}
    assert group["rounds"] == 22
    assert sum(group["requests"]) == 100


def test_copies_of_a_variant_share_the_threads(world: World) -> None:
    """Two instances of one thread each, of every variant; a ladder has its own."""
    data = str(world.root / "data")
    words = ("--data", data, "--profile", "quick", "-n", "12", "--instances", "2")
    assert bench(world, "run", "-q", *words) == 0
    records, _ = Store(world.store).records(Store(world.store).runs())
    assert {(one.cell.instances, one.cell.threads, one.cell.cores) for one in records} == {(2, 1, 2)}
    assert bench(world, "run", "-q", "--instances", "3") == 2
    assert bench(world, "run", "-q", "--instances", "2", "--boundary", "process") == 2
