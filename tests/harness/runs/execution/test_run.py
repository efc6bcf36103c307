from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import Heard, World, boolq_folder

from harness.catalog import DEFAULT_VARIANTS
from harness.common.errors import (
    BenchError,
    CheckpointError,
    MeasurementError,
    UnsupportedError,
    UsageError,
)
from harness.common.progress import LOADING_QUIET_S, TIMED
from harness.records.record import ComputePeak, Record
from harness.records.store import Store, read_samples
from harness.runs.execution.run import Run, execute, resume, start
from harness.runs.planning.options import RunOptions
from harness.runs.worker.process import Worker
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.testing.world import FakeMachine, altered
from harness.workload.tasks import get_task


def started(world: World, heard: Heard | None = None, **options: Any) -> Run:
    wanted = RunOptions("boolq", data=boolq_folder(world.root), **{"rounds": 7, **options})
    return start(wanted, world.catalog, Store(world.store), world.cache, world.machine, heard or Heard())


def measured(world: World, **options: Any) -> dict[str, Record]:
    return {record.cell.variant: record for record in execute(started(world, **options))}


def test_every_cell_answers_the_same_requests_in_every_round(tmp_path: Path) -> None:
    """Seven rounds; the three slices of 100 examples repeat, and all variants see the same ones."""
    records = measured(World(tmp_path))
    assert list(records) == [name for name in DEFAULT_VARIANTS if name != "native-int8"]  # the world has none
    seen = {
        variant: [(turn.index, turn.slice, turn.requests, turn.tokens) for turn in record.rounds]
        for variant, record in records.items()
    }
    assert len(set(map(tuple, seen.values()))) == 1
    # 100 examples make 100 // 32 = 3 slices: 33 + 33 + 34
    assert [turn[1] for turn in seen["onnx-int8"]] == [0, 1, 2, 0, 1, 2, 0]
    assert sum(turn[2] for turn in seen["onnx-int8"][:3]) == 100


def test_the_order_of_the_cells_is_shuffled_from_round_to_round(tmp_path: Path) -> None:
    """So that drift does not land on whichever system always runs last."""
    records = measured(World(tmp_path))
    positions = {tuple(turn.position for turn in record.rounds) for record in records.values()}
    assert len(positions) == 4
    for index in range(7):
        assert sorted(record.rounds[index].position for record in records.values()) == [0, 1, 2, 3]


def test_time_and_energy_are_those_of_the_window(tmp_path: Path) -> None:
    """The padded fake takes 256 tokens x 1,000 ns a request, at 10 W, plus 10 ns for each look at a clock."""
    first = measured(World(tmp_path))["pytorch-fixed"].rounds[0]
    # 33 requests: 33 x (256,000 + 10) + 32 x 10 between them
    assert first.requests == 33
    assert first.wall_ns == 33 * 256_010 + 32 * 10
    (reading,) = first.readings
    assert reading.microjoules == pytest.approx(10 * first.wall_ns / 1000, rel=1e-4)


def test_examples_without_a_timed_pass_are_answered_untimed(tmp_path: Path) -> None:
    """40 timed of 100; the quality is over all of them, and the record counts both."""
    quality = measured(World(tmp_path), sample=40)["onnx-int8"].quality
    assert quality is not None
    assert (quality.timed, quality.untimed) == (40, 60)
    only = measured(World(tmp_path / "b"), sample=40, quality="sample")["onnx-int8"].quality
    assert only is not None
    assert (only.timed, only.untimed) == (40, 0)


class BlindVariant(FakeVariant):
    """A variant that makes nothing of the checkpoint."""

    reads_checkpoint = False


def test_the_check_of_the_checkpoint_is_in_the_manifest_of_each_variant_made_from_it(tmp_path: Path) -> None:
    """And not in that of a program, which does not read the checkpoint."""
    world = World(tmp_path, BlindVariant("program", FakeClock(step_ns=10), 1))
    world.catalog = replace(world.catalog, check=lambda *_: {"check": {"texts": 3}})
    world.machine = FakeMachine(world.catalog, world.clock)
    records = measured(world, variants=("onnx-int8", "program"))
    manifests = {name: record.artifact.manifest for name, record in records.items() if record.artifact}
    assert manifests["onnx-int8"]["check"] == {"texts": 3}
    assert "check" not in manifests["program"]


def test_a_checkpoint_that_fails_its_check_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    """It is refused before the run begins."""

    def check(*_: Any) -> Any:
        raise CheckpointError("its weights are not finite numbers.", remedy="Train it again.")

    world = World(tmp_path)
    world.machine = FakeMachine(replace(world.catalog, check=check), world.clock)
    with pytest.raises(CheckpointError, match="not finite numbers"):
        started(world)
    assert not (world.store / "runs").exists() or not list((world.store / "runs").iterdir())


@pytest.mark.parametrize("finite_calls", [0, 100, 250])
def test_logits_that_are_not_finite_fail_their_cell_at_any_time(tmp_path: Path, finite_calls: int) -> None:
    """At the first request, in warm-up and timed windows: no answer of it counts, and the others go on."""
    clock = FakeClock(step_ns=10)
    bad = FakeVariant("bad", clock, 1, finite_calls=finite_calls)
    records = measured(World(tmp_path, bad), variants=("bad", "onnx-int8"))
    failure = records["bad"].failure
    assert failure is not None
    assert "its logits are not finite numbers (NaN or infinite) for 1 of 1 sequences" in failure.message
    assert "check the checkpoint's weights" in str(failure.remedy)
    assert records["bad"].status == ("partial" if records["bad"].rounds else "failed")
    assert records["onnx-int8"].status == "complete"


def test_a_failed_cell_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    """The record says why; no round of it is made up."""
    clock = FakeClock(step_ns=10)
    bad = FakeVariant(
        "bad", clock, 1, breaks="predict", error=MeasurementError("it broke.", remedy="Mend it.")
    )
    heard = Heard()
    world = World(tmp_path, bad)
    records = {r.cell.variant: r for r in execute(started(world, heard, variants=("pytorch-fixed", "bad")))}
    assert records["pytorch-fixed"].status == "complete"
    failed = records["bad"]
    assert (failed.status, failed.rounds) == ("failed", ())
    assert failed.failure is not None
    assert (failed.failure.message, failed.failure.remedy) == ("it broke.", "Mend it.")
    assert heard.warnings == ["bad failed: it broke.\nMend it."]


def test_a_variant_that_cannot_be_prepared_is_recorded_as_failed(tmp_path: Path) -> None:
    """Unless its input is bad, which ends the run before anything is stored."""
    clock = FakeClock(step_ns=10)
    bad = FakeVariant("bad", clock, 1, breaks="prepare", error=MeasurementError("no graph."))
    records = measured(World(tmp_path, bad), variants=("pytorch-fixed", "bad"))
    assert records["bad"].status == "failed"

    worse = replace(bad, error=CheckpointError("of another task."))
    world = World(tmp_path / "b", worse)
    with pytest.raises(CheckpointError, match="of another task"):
        started(world, variants=("pytorch-fixed", "bad"))
    assert Store(world.store).runs() == []


def test_a_variant_that_is_refused_is_a_row_and_the_others_are_measured(tmp_path: Path) -> None:
    """As one whose answers are too far from fp32's; alone it ends the run before anything is stored."""
    refused = UnsupportedError("answers are too far from fp32.", remedy="Use 16 bits.")
    heard = Heard()
    world = World(tmp_path, FakeVariant("bad", FakeClock(step_ns=10), 1, breaks="prepare", error=refused))
    records = {r.cell.variant: r for r in execute(started(world, heard, variants=("pytorch-fixed", "bad")))}
    failure = records["bad"].failure
    assert (records["pytorch-fixed"].status, records["bad"].status) == ("complete", "failed")
    assert failure is not None
    assert (failure.message, failure.remedy) == ("answers are too far from fp32.", "Use 16 bits.")
    assert heard.warnings == ["bad cannot run this checkpoint: answers are too far from fp32."]
    with pytest.raises(UnsupportedError, match="too far from fp32"):
        started(world, variants=("bad",))
    assert len(Store(world.store).runs()) == 1


def test_an_unavailable_default_is_left_out_and_one_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    """A missing optional engine that nobody asked for is no failure."""
    world = World(tmp_path)
    absent = replace(world.catalog.variant("onnx-int8"), missing="onnxruntime is not installed")  # type: ignore[type-var]
    world.catalog = replace(world.catalog, variants={**world.catalog.variants, "onnx-int8": absent})
    heard = Heard()
    assert started(world, heard).plan.variants == DEFAULT_VARIANTS[:3]
    assert heard.warnings == ["onnx-int8 is left out: onnxruntime is not installed"]
    with pytest.raises(UsageError, match="onnx-int8 cannot run here"):
        started(world, variants=("onnx-int8",))


def test_the_second_run_finds_its_artifacts_in_the_cache(tmp_path: Path) -> None:
    """And its records say so."""
    world = World(tmp_path)
    first = measured(world)
    world.machine = altered(world.machine, suffix=lambda: "0002")
    second = measured(world)
    assert [r.artifact.cached for r in first.values() if r.artifact] == [False] * 4
    assert [r.artifact.cached for r in second.values() if r.artifact] == [True] * 4


def test_a_resumed_run_measures_only_what_is_missing(tmp_path: Path) -> None:
    """Interrupted in the fourth round: three are kept, four follow, and the order is the planned one."""
    world = World(tmp_path)
    run = started(world)
    appended: list[Mapping[str, Any]] = []

    class Stubborn(Heard):
        def detail(self, text: str) -> None:
            if text.startswith("round 4"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(replace(run, narrator=Stubborn()))
    kept = [entry for entry in run.folder.entries() if entry["kind"] == "round"]
    assert [entry["index"] for entry in kept] == [0, 1, 2]
    assert run.folder.sealed() == set()
    del appended

    (folder,) = Store(world.store).unfinished()
    again = execute(resume(folder, world.cache, world.machine, Heard()))
    assert [[turn.index for turn in record.rounds] for record in again] == [list(range(7))] * 4
    assert {record.status for record in again} == {"complete"}
    assert {record.launches for record in again} == {2}
    whole = measured(World(tmp_path / "whole"))
    for record in again:
        unbroken = whole[record.cell.variant]
        assert [turn.slice for turn in record.rounds] == [turn.slice for turn in unbroken.rounds]
        assert [turn.position for turn in record.rounds] == [turn.position for turn in unbroken.rounds]
        assert record.quality == unbroken.quality


def test_a_journal_line_that_was_cut_off_is_no_round(tmp_path: Path) -> None:
    """What `kill -9` leaves of a line is dropped, and the round is measured again."""
    world = World(tmp_path)
    run = started(world)

    class Stubborn(Heard):
        def detail(self, text: str) -> None:
            if text.startswith("round 3"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(replace(run, narrator=Stubborn()))
    journal = run.folder.path / "journal" / "rounds.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert [e["index"] for e in run.folder.entries() if e["kind"] == "round"] == [0]
    records = execute(resume(run.folder, world.cache, world.machine, Heard()))
    assert all([turn.index for turn in record.rounds] == list(range(7)) for record in records)


def test_a_run_is_not_resumed_on_another_machine(tmp_path: Path) -> None:
    """Rounds of unlike machines are never joined."""
    world = World(tmp_path)
    run = started(world)
    other = world.machine.host().model_copy(update={"fingerprint": "c" * 64})
    with pytest.raises(UsageError, match="another machine"):
        resume(run.folder, world.cache, altered(world.machine, host=lambda: other), Heard())


def test_changed_data_is_noticed_before_measuring_goes_on(tmp_path: Path) -> None:
    """The plan holds the data's fingerprint."""
    world = World(tmp_path)
    run = started(world)
    boolq_folder(tmp_path, rows=99)
    with pytest.raises(UsageError, match="the data changed"):
        execute(run)


def test_raw_samples_hold_what_the_record_was_derived_from(tmp_path: Path) -> None:
    """Latencies by round, answers in words, and the counts that the scores were made of."""
    world = World(tmp_path)
    record = measured(world, sample=64)["onnx-int8"]
    samples = read_samples(world.store / "runs" / record.run, record)
    assert len(samples["call_ns"]) == sum(turn.requests for turn in record.rounds)
    in_round = samples["call_round"] == 0
    assert (samples["call_ns"] + samples["gap_ns"])[in_round].sum() == record.rounds[0].wall_ns
    assert record.quality is not None
    assert samples["answered"].all()
    # row i is true but for every third
    gold = np.array(["false" if i % 3 == 0 else "true" for i in range(100)])
    share = float(np.mean(samples["answer"] == gold))
    assert share == record.quality.metrics["accuracy"].value
    assert (samples["answer"][samples["timed_example"]] == samples["timed_answer"]).all()
    rates = get_task("boolq").scoring.rates(samples["counts"].sum(axis=0))
    assert rates == {"accuracy": share}


def test_an_example_that_nobody_asked_has_no_answer(tmp_path: Path) -> None:
    """With the quality of the sample alone: an empty word, no mark, and no row of counts."""
    world = World(tmp_path)
    record = measured(world, sample=40, quality="sample")["onnx-int8"]
    samples = read_samples(world.store / "runs" / record.run, record)
    assert samples["answered"].sum() == len(samples["counts"]) == 40
    assert (samples["answer"][~samples["answered"]] == "").all()
    assert (samples["answer"][samples["answered"]] != "").all()


def test_offline_hands_over_all_requests_at_once_and_has_no_latencies(tmp_path: Path) -> None:
    """A group of its own: its ratios are never mixed with single-stream's."""
    world = World(tmp_path)
    records = execute(started(world, scenarios=("single-stream", "offline")))
    offline = [record for record in records if record.cell.scenario == "offline"]
    assert len(offline) == 4
    assert all(record.latency == {} for record in offline)
    assert len({record.cell.group for record in records}) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variants": ("onnx-int9",)}, "Did you mean onnx-int8"),
        ({"variants": ("onnx-int8", "onnx-int8")}, "named twice"),
        ({"scenarios": ("single",)}, "Did you mean single-stream"),
        ({"profile": "quik"}, "Did you mean quick"),
        ({"device": "gpu"}, "Devices are cpu, cuda and cuda:N"),
        ({"threads": 3}, "this process may use 2 CPUs"),
        ({"threads": 0}, "at least 1"),
        ({"rounds": 0}, "--rounds 0 is out of range"),
        ({"max_length": 0}, "--max-length 0 is out of range"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    """One message with a remedy; the store stays empty."""
    world = World(tmp_path)
    with pytest.raises(BenchError, match=words) as caught:
        started(world, **options)
    assert caught.value.exit_code == 2
    assert not world.store.exists()


def test_at_boundary_text_encoding_is_inside_the_clock(tmp_path: Path) -> None:
    """The answers are the same, the time is longer by the encoding, and the two are never one group.

    The fake takes 100 ns to encode an example.
    """
    encoded = measured(World(tmp_path / "a"))["onnx-int8"]
    text = measured(World(tmp_path / "b"), boundary="text")["onnx-int8"]
    assert (encoded.cell.boundary, text.cell.boundary) == ("encoded", "text")
    assert encoded.cell.group != text.cell.group
    assert encoded.quality == text.quality
    for one, other in zip(encoded.rounds, text.rounds, strict=True):
        assert one.tokens == other.tokens
        assert other.wall_ns == one.wall_ns + 100 * one.requests


def test_the_limit_of_the_cores_is_measured_before_and_after_if_it_is_asked_for(tmp_path: Path) -> None:
    """On as many threads as the run has CPUs, the same for all records; none where nobody asked."""
    world = World(tmp_path)
    rates = iter((300e9, 400e9))
    asked: list[int] = []

    def peaks(threads: int) -> dict[str, ComputePeak]:
        asked.append(threads)
        return {"int8": ComputePeak(instruction="vpdpbusd", before=next(rates))}

    world.machine = altered(world.machine, peaks=peaks)
    records = measured(world, roofline=True)
    assert asked == [len(world.machine.cpus())] * 2
    for record in records.values():
        assert record.limit is not None
        peak = record.limit.peaks["int8"]
        assert (peak.before, peak.after, peak.per_second) == (300e9, 400e9, 400e9)
    assert all(record.limit is None for record in measured(World(tmp_path / "plain")).values())


class CurrentStage(Heard):
    """Progress that holds how often the current stage may be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        super().stage(name, steps, quiet_s=quiet_s)
        self.now_s = quiet_s


def test_nothing_is_shown_while_something_is_timed(tmp_path: Path) -> None:
    """Visits, the search of a rate, idle power and the peaks; while loading, at most every 10 s."""
    world, progress = World(tmp_path), CurrentStage()
    during: dict[str, set[float]] = {}
    machine = world.machine

    def launch(*arguments: Any, **options: Any) -> Worker:
        worker = machine.launch(*arguments, **options)
        exchange = worker.exchange

        def watched(action: str, *fields: Any) -> Any:
            during.setdefault(action, set()).add(progress.now_s)
            return exchange(action, *fields)

        return altered(worker, exchange=watched)

    def sleep(seconds: float) -> None:
        during.setdefault("idle", set()).add(progress.now_s)
        machine.sleep(seconds)

    def peaks(threads: int) -> dict[str, ComputePeak]:
        del threads
        during.setdefault("peaks", set()).add(progress.now_s)
        return {}

    world.machine = altered(machine, launch=launch, sleep=sleep, peaks=peaks)
    execute(started(world, progress, scenarios=("server",), slo="p90=50ms", roofline=True))
    assert (during["visit"], during["idle"], during["peaks"]) == ({TIMED}, {TIMED}, {TIMED})
    assert during["open"] == {LOADING_QUIET_S}
    assert during["prepare"] == {0.0}
    assert during["complete"] == {0.0}
    assert "find the highest rate" in dict(progress.stages)


def test_a_limit_that_cannot_be_measured_says_why_and_stops_nothing(tmp_path: Path) -> None:
    """No compiler, say."""
    world = World(tmp_path)
    world.machine = altered(world.machine, peaks=lambda _: "no C compiler is on PATH")
    (record, *_) = measured(world, roofline=True).values()
    assert record.limit is not None
    assert record.limit.unavailable == "no C compiler is on PATH"
    assert record.status == "complete"


def test_where_an_engines_time_goes_is_kept_or_why_it_does_not_say(tmp_path: Path) -> None:
    """With the limit; a system without a profiler is measured all the same."""
    world = World(tmp_path)
    world.machine = altered(world.machine, peaks=lambda _: "no C compiler is on PATH")
    (record, *_) = measured(world, roofline=True).values()
    assert record.operators is not None
    assert record.operators.unavailable == "its engine has no profiler here"
    assert record.status == "complete"
