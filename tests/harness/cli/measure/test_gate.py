import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.catalog import Catalog
from harness.cli.app import call
from harness.common.errors import BenchError
from harness.records.record import Host, Revision
from harness.records.side import Side
from harness.records.store import Store
from harness.runs.worker.process import Worker
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant, fake_catalog
from harness.testing.world import HOST, FakeMachine, altered


class NoisyClock(FakeClock):
    """Everything takes about as long as it says: 3 % more or less, drawn anew for each step."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(step_ns=10)
        self._draw = random.Random(seed)

    def advance(self, nanoseconds: int) -> None:
        super().advance(round(nanoseconds * math.exp(self._draw.gauss(0, 0.03))))


class Versions(World):
    """A fake machine on which base and head are two catalogs, on one noisy clock."""

    def __init__(self, root: Path, head: FakeVariant | None = None, seed: int = 0) -> None:
        super().__init__(root)
        self.clock = NoisyClock(seed)
        self.catalog = self._catalog()
        self.names = itertools.count()
        heads = self._catalog(replace(head, clock=self.clock)) if head else self.catalog
        ours = FakeMachine(self.catalog, self.clock)
        theirs = FakeMachine(heads, self.clock)

        def launch(
            cpus: Sequence[int],
            threads: int,
            side: Side | None = None,
            variables: Mapping[str, str] | None = None,
        ) -> Worker:
            machine = theirs if side and side.name == "head" else ours
            return machine.launch(cpus, threads, side, variables)

        self.machine = altered(ours, launch=launch, suffix=lambda: f"{next(self.names):04}")

    def _catalog(self, *more: FakeVariant) -> Catalog:
        return fake_catalog(self.clock, FakeVariant("app", self.clock, 1000), *more)


def gate(world: World, *words: str) -> int:
    data = str(boolq_folder(world.root))
    measured = ("--variants", "app", "--data", data, "--rounds", "11", "--limit", "66", "--quiet")
    return call(("gate", "--base", "here", *measured, *words), world.context())


def head(ns_per_token: int = 1000, **changes: Any) -> FakeVariant:
    return FakeVariant("app", FakeClock(), ns_per_token, **changes)


def test_a_thing_against_itself_passes_twenty_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run draws its own noise; the tolerance is learnt from base against base."""
    codes = [gate(Versions(tmp_path / str(seed), seed=seed)) for seed in range(20)]
    assert codes == [0] * 20, capsys.readouterr().out


def test_a_planted_slow_down_fails_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """15 % more time for each token: exit 3, with what, by how much, the rule and a next step."""
    assert gate(Versions(tmp_path, head(1150))) == 3
    out, err = capsys.readouterr()
    assert out.startswith("Gate: REGRESSION (")
    assert "\nboolq, app, cpu, single-stream, 2 threads, length 256\n" in out
    assert "REGRESSION         latency p50 is 1" in out
    assert "rule: latency_p50: no worse than the noise" in out
    assert "-> Find its cause" in out
    assert err == ""


def test_planted_wrong_answers_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every fifth answer is wrong: 20 points, of 100 examples."""
    assert gate(Versions(tmp_path, head(wrong=5))) == 3
    assert "quality is 20.0 points worse" in capsys.readouterr().out


def test_a_faster_head_passes(tmp_path: Path) -> None:
    """Better is no regression, however much."""
    assert gate(Versions(tmp_path, head(500))) == 0


def test_a_head_that_crashes_could_not_be_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4: nothing was found to be slower."""
    broken = head(breaks="predict", error=BenchError("the fake was told to break."))
    assert gate(Versions(tmp_path, broken)) == 4
    assert "the fake was told to break" in capsys.readouterr().out


def test_a_variant_that_one_side_lacks_could_not_be_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other side is still measured, and the record says why."""
    missing = head(breaks="prepare", error=BenchError("unknown variant 'app'."))
    assert gate(Versions(tmp_path, missing)) == 4
    assert "unknown variant 'app'" in capsys.readouterr().out


def test_noise_is_neither_a_pass_nor_a_regression_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rounds have no interval; three that disagree say nothing. `--allow-noise` says it and passes."""
    world = Versions(tmp_path)
    world.clock._draw.gauss = lambda mu, sigma: random.Random(world.clock.now_ns).gauss(mu, 20 * sigma)  # type: ignore[attr-defined]
    assert gate(world, "--rounds", "3") == 6
    assert "TOO NOISY" in capsys.readouterr().out
    assert gate(world, "--rounds", "3", "--allow-noise") == 0
    assert "TOO NOISY" in capsys.readouterr().out


def test_the_records_of_both_sides_are_kept_and_can_be_judged_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Base, head and base again share one group; the same run under other rules needs no measuring."""
    world = Versions(tmp_path, head(1150))
    rules = tmp_path / "bench.yaml"
    rules.write_text("gate:\n  throughput: {max-degradation: 50%}\n")
    assert gate(world, "--json") == 3
    assert json.loads(capsys.readouterr().out)["status"] == "regression"
    store = Store(world.store)
    records, _ = store.records(store.runs())
    assert [record.cell.variant for record in records] == ["app@base", "app@head", "app@base-again"]
    assert len({record.cell.group for record in records}) == 1
    assert records[0].configuration["sides"][0] == {"name": "base", "ref": "here", "revision": None}
    assert call(("gate", "--run", "latest", "--rules", str(rules)), world.context()) == 0


def own_file(world: World) -> tuple[str, ...]:
    """Write a file of a user's own, and return the options that describe it."""
    path = world.root / "reviews.csv"
    rows = [f'"review {i}, {"word " * (i % 40)}",{("bad", "good")[i % 2]}' for i in range(400)]
    path.write_text("\n".join(["review,stars", *rows]) + "\n")
    return ("--task", "custom", "--data", str(path), "--text", "review", "--label", "stars")


def test_a_task_of_ones_own_is_gated_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its file is described as for `bench run`; a planted slow-down is found on it too."""
    for folder, slower, code in (("same", None, 0), ("slower", head(1150), 3)):
        world = Versions(tmp_path / folder, slower)
        world.root.mkdir()
        assert gate(world, *own_file(world), "--split", "all") == code
        assert "\ncustom, app, cpu, single-stream, 2 threads, length 256\n" in capsys.readouterr().out


def test_a_gate_is_of_one_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert gate(Versions(tmp_path), "--task", "all", "--data", str(boolq_folder(tmp_path))) == 2
    assert "--task: expected one task, got all." in capsys.readouterr().err


def run(world: World, *words: str) -> int:
    data = str(boolq_folder(world.root))
    return call(("run", "--data", data, "--quiet", "--variants", "onnx-int8", *words), world.context())


def held(world: World, *words: str) -> int:
    return call(("gate", "--run", "latest", *words), world.context())


def test_a_run_is_held_against_its_pinned_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pin is a file of its own, which outlives the run."""
    world = Versions(tmp_path)
    run(world)
    assert call(("gate", "--pin", "latest"), world.context()) == 0
    assert "Pinned 1 record of " in capsys.readouterr().out
    assert len(list((world.store / "pinned").glob("*.json"))) == 1
    run(world)
    assert held(world) == 0
    slower = FakeVariant("onnx-int8", world.clock, 400, wrong=8)
    world.machine = altered(
        FakeMachine(fake_catalog(world.clock, slower), world.clock), suffix=lambda: "zzzz"
    )
    run(world)
    assert held(world) == 3
    assert "latency p50 is" in capsys.readouterr().out


def test_a_pinned_run_is_never_pinned_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Loosening a reference has to be seen."""
    world = Versions(tmp_path)
    run(world)
    call(("gate", "--pin", "latest"), world.context())
    assert call(("gate", "--pin", "latest"), world.context()) == 4
    assert "this run is pinned already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "Invalid JSON: EOF while parsing an object at line 1 column 1"), ("{}", "run: Field required")],
)
def test_a_damaged_pin_is_named_with_its_first_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, problem: str
) -> None:
    """In one line, without what a library has to say to programmers."""
    world = Versions(tmp_path)
    run(world)
    file = world.store / "pinned" / "damaged.json"
    file.parent.mkdir()
    file.write_text(text)
    capsys.readouterr()
    assert held(world) == 2
    assert capsys.readouterr().err == (
        f"bench: {file}: not a pinned reference: {problem}.\n"
        "Restore the file, or remove it and pin a run again.\n"
    )


def test_a_changed_machine_is_refused_by_name_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new kernel may be why it is slower."""
    world = Versions(tmp_path)
    run(world)
    call(("gate", "--pin", "latest"), world.context())
    _move(world, kernel="7.0")
    capsys.readouterr()
    assert held(world) == 4
    assert "the environment changed: kernel: none, then 7.0" in capsys.readouterr().out
    assert held(world, "--allow-changed", "kernel") == 0


def test_another_processor_is_not_judged_even_if_it_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its speed says nothing about the code."""
    world = Versions(tmp_path)
    run(world)
    call(("gate", "--pin", "latest"), world.context())
    _move(world, model="Another")
    capsys.readouterr()
    assert held(world, "--allow-changed", "model") == 4
    assert "the machines are unlike (model: Fake CPU, then Another)" in " ".join(
        capsys.readouterr().out.split()
    )


def _move(world: Versions, **facts: str) -> None:
    """Run again on a machine of which these facts differ."""
    other = Host(fingerprint="9" * 64, name_sha256=HOST.name_sha256, facts={**HOST.facts, **facts})
    world.machine = altered(world.machine, host=lambda: other)
    run(world)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected exactly one of --run RUN, --base REF, --pin RUN and --resume RUN"),
        (("--run", "latest", "--head", "HEAD"), "--head needs --base"),
        (
            ("--run", "latest", "--base", "here"),
            "expected exactly one of --run RUN, --base REF, --pin RUN and",
        ),
        (("--base", "no-such-thing"), "expected a git revision"),
        (("--run", "latest"), "the store holds no runs"),
        (("--base", "here", "--rules", "nowhere.yaml"), "nowhere.yaml: there is no such file"),
    ],
)
def test_what_cannot_be_gated_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Exit 2, which is none of a gate's verdicts."""
    assert call(("gate", *words), Versions(tmp_path).context()) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_a_reference_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It did not hold: nothing was held."""
    world = Versions(tmp_path)
    run(world)
    assert held(world) == 2
    assert "no pinned reference" in capsys.readouterr().err


def test_a_broken_reference_is_named_and_never_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have been the one that holds."""
    world = Versions(tmp_path)
    run(world)
    (world.store / "pinned").mkdir()
    (world.store / "pinned" / "cut.json").write_text('{"version": 1, "run": "x", "rec')
    assert held(world) == 2
    assert "cut.json" in capsys.readouterr().err


def test_a_record_says_which_commit_it_is_of(tmp_path: Path) -> None:
    """Of the working folder, when the run began."""
    world = Versions(tmp_path)
    world.machine = altered(world.machine, revision=lambda: Revision(commit="abc123", dirty=True))
    run(world)
    store = Store(world.store)
    records, _ = store.records(store.runs())
    assert str(records[0].revision) == "abc123-dirty"
