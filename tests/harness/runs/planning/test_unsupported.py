"""A variant that lacks something for the checkpoint is told before any work, and never ends a run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import UnsupportedError
from harness.records.store import Store
from harness.runs.execution.run import Run, execute, start
from harness.runs.planning.options import RunOptions
from harness.systems.interface import Checkpoint
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.workload.tasks.base import Task
from reports.formats import render_records

REASON = "engine-x has no windowed attention."


@dataclass(frozen=True, slots=True)
class Lacking(FakeVariant):
    """A fake that lacks something for checkpoints of one family; preparing it would be an error."""

    def unsupported(self, task: Task, config: dict[str, Any]) -> str | None:
        del task
        return REASON if config["model_type"] == "modernbert" else None


def world_of(root: Path, family: str, name: str, **changed: Any) -> World:
    """Return a world with one lacking variant and a checkpoint of the family."""
    world = World(root, Lacking(name, FakeClock(step_ns=10), 100, **changed))
    folder = root / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(f'{{"model_type": "{family}"}}')
    checkpoint = Checkpoint("mine", folder, "local", "f" * 64)
    world.catalog = replace(world.catalog, resolve=lambda *_: checkpoint)
    world.machine._catalog = world.catalog  # type: ignore[attr-defined]
    return world


def started(world: World, heard: Heard, **options: Any) -> Run:
    wanted = RunOptions("boolq", data=boolq_folder(world.root), rounds=2, **options)
    return start(wanted, world.catalog, Store(world.store), world.cache, world.machine, heard)


def test_a_named_variant_is_a_row_with_the_reason_and_the_others_are_measured(tmp_path: Path) -> None:
    """It is told first, and is never prepared: its preparation would break otherwise."""
    world = world_of(tmp_path, "modernbert", "engine-x", breaks="prepare")
    heard = Heard()
    run = started(world, heard, variants=("pytorch-fixed", "engine-x", "onnx-int8"))
    assert heard.warnings == [f"engine-x cannot run this checkpoint: {REASON}"]
    records = {record.cell.variant: record for record in execute(run)}
    assert {name: record.status for name, record in records.items()} == {
        "pytorch-fixed": "complete",
        "engine-x": "failed",
        "onnx-int8": "complete",
    }
    failure = records["engine-x"].failure
    assert failure is not None
    assert REASON in failure.message
    table = render_records(list(records.values()), "markdown")
    assert f"engine-x failed: mine: {REASON}" in table


def test_another_family_is_measured_by_it(tmp_path: Path) -> None:
    """The reason is one of the checkpoint's, not of the machine's."""
    heard = Heard()
    run = started(world_of(tmp_path, "bert", "engine-x"), heard, variants=("pytorch-fixed", "engine-x"))
    assert heard.warnings == []
    assert [record.status for record in execute(run)] == ["complete", "complete"]


def test_a_default_variant_is_left_out_with_a_line_below_the_table(tmp_path: Path) -> None:
    """Nobody asked for it, so it is no failure; the record keeps the reason."""
    heard = Heard()
    run = started(world_of(tmp_path, "modernbert", "native-int8"), heard)
    assert "native-int8" not in run.plan.variants
    assert heard.warnings == [f"native-int8 is left out: {REASON}"]
    records = execute(run)
    assert records[0].configuration["left_out"] == {"native-int8": REASON}
    assert "Left out: native-int8, because engine-x has no windowed attention." in render_records(
        records, "markdown"
    )


def test_what_is_found_while_preparing_leaves_the_others_too(tmp_path: Path) -> None:
    """Some things only an export tells."""
    problem = UnsupportedError("the graph disagrees with its source.", remedy="Use another.")
    world = world_of(tmp_path, "bert", "engine-x", breaks="prepare", error=problem)
    records = execute(started(world, Heard(), variants=("pytorch-fixed", "engine-x")))
    assert [record.status for record in records] == ["complete", "failed"]


def test_a_run_of_nothing_else_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """There would be no row with a number."""
    world = world_of(tmp_path, "modernbert", "engine-x")
    with pytest.raises(UnsupportedError, match="no windowed attention"):
        started(world, Heard(), variants=("engine-x",))
    assert Store(world.store).runs() == []
