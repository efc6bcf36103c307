"""Several tasks in one command: which, with which checkpoint, and what is left out."""

from pathlib import Path
from typing import Any

import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import DataError, UsageError
from harness.records.store import Store
from harness.runs.execution.multi_run import LabelledProgress, options_per_task, start_all
from harness.runs.planning.options import RunOptions
from harness.testing.world import InlineWorker
from harness.workload.tasks import TASKS


def test_all_means_every_task_with_the_split_it_reports() -> None:
    """The diagnostics have one split only, whatever split is named for the others."""
    told = Heard()
    for split in (None, "val"):
        found = options_per_task(RunOptions(task=""), ["all"], split, told)
        assert [one.task for one in found] == list(TASKS)
        assert {one.task: one.split for one in found}["ax-g"] == "test"
        assert {one.split for one in found if not one.task.startswith("ax")} == {"val"}
    assert told.warnings == []


def test_a_list_of_tasks_is_asked_in_its_order_each_once() -> None:
    """A task that is named twice is measured once."""
    found = options_per_task(RunOptions(task=""), ["rte", "copa", "rte"], "train", Heard())
    assert [(one.task, one.split) for one in found] == [("rte", "train"), ("copa", "train")]


def test_the_place_of_the_task_in_a_models_name_is_filled_in() -> None:
    """The diagnostics are answered by RTE's model."""
    found = options_per_task(RunOptions(task="", model="m/{task}"), ["wic", "ax-b"], None, Heard())
    assert [one.model for one in found] == ["m/wic", "m/rte"]


def test_one_checkpoint_for_several_tasks_is_refused_unless_it_serves_them() -> None:
    """RTE's serves its diagnostics."""
    wanted = RunOptions(task="", model="m/rte")
    assert len(options_per_task(wanted, ["rte", "ax-b", "ax-g"], None, Heard())) == 3
    with pytest.raises(UsageError, match=r"m/\{task\}"):
        options_per_task(wanted, ["rte", "cb"], None, Heard())


def test_what_is_not_there_is_left_out_of_all_with_its_reason(tmp_path: Path) -> None:
    """A folder with one task gives one run; a list that names another is no such wish."""
    told = Heard()
    wanted = RunOptions(task="", data=boolq_folder(tmp_path))
    assert [one.task for one in options_per_task(wanted, ["all"], None, told)] == ["boolq"]
    assert "cb is left out: CB/val.jsonl is not in the data folder." in told.warnings
    assert len(told.warnings) == len(TASKS) - 1
    assert len(options_per_task(wanted, ["boolq", "cb"], None, Heard())) == 2


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    """An empty folder, or no checkpoint of any task."""
    with pytest.raises(DataError, match="no task can be measured"):
        options_per_task(RunOptions(task="", data=tmp_path), ["all"], None, Heard())
    told = Heard()
    with pytest.raises(DataError):
        options_per_task(RunOptions(task="", model=f"{tmp_path}/{{task}}"), ["all"], None, told)
    assert f"wic is left out: there is no checkpoint {tmp_path}/wic." in told.warnings


def test_stages_and_warnings_say_which_task_they_are_about() -> None:
    """Steps and details pass through."""
    told = Heard()
    about = LabelledProgress("copa", told)
    about.stage("measure", 3)
    about.step()
    about.detail("x")
    about.warn("slow")
    assert (told.stages, told.warnings) == ([("copa: measure", 3)], ["copa: slow"])


def test_one_worker_prepares_for_all_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has imported for the first serves the others."""
    asked: list[tuple[int, str]] = []
    answer = InlineWorker.exchange

    def watched(self: InlineWorker, do: str, *rest: Any, **words: Any) -> dict[str, Any]:
        asked.append((id(self), do))
        return answer(self, do, *rest, **words)

    monkeypatch.setattr(InlineWorker, "exchange", watched)
    world = World(tmp_path)
    runs = options_per_task(RunOptions(task=""), ["boolq", "cb"], None, Heard())
    place = (Store(world.store), world.cache, world.machine, Heard())
    ready = start_all(runs, world.catalog, *place)
    assert len(ready) == 2
    assert len({worker for worker, do in asked if do == "prepare"}) == 1
