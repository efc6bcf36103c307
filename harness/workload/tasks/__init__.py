"""The table of tasks: each is one file, and one line here."""

from collections.abc import Mapping

from harness.common.errors import UsageError, unknown_name
from harness.common.json_types import JsonValue
from harness.common.plugins import usable
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CUSTOM, custom_task, parse_definition
from harness.workload.tasks.superglue.boolq import BOOLQ
from harness.workload.tasks.superglue.cb import CB
from harness.workload.tasks.superglue.copa import COPA
from harness.workload.tasks.superglue.multirc import MULTIRC
from harness.workload.tasks.superglue.record import RECORD
from harness.workload.tasks.superglue.rte import AX_B, AX_G, RTE
from harness.workload.tasks.superglue.wic import WIC
from harness.workload.tasks.superglue.wsc import WSC

SUPERGLUE: tuple[Task, ...] = (BOOLQ, CB, COPA, MULTIRC, RECORD, RTE, WIC, WSC)
"""The eight tasks of the average (Wang et al., 2019)."""

DIAGNOSTICS: tuple[Task, ...] = (AX_B, AX_G)
"""Answered by RTE's models. They do not count in the average."""

TASKS: dict[str, Task] = {task.name: task for task in (*SUPERGLUE, *DIAGNOSTICS)}

TaskReference = str | Mapping[str, JsonValue]
"""A task in a message to a worker: its name, or the definition of a custom one."""


def get_task(name: str) -> Task:
    """Return the task of this name; UsageError with the nearest names where there is none.

    `custom` needs the user's data first: UsageError with the options to give.
    """
    if name == CUSTOM:
        raise UsageError(
            "the task custom needs your data and the names of its columns.",
            remedy="Add --data FILE --text COLUMN (or A,B for a pair) --label COLUMN.",
        )
    if name in TASKS:
        return TASKS[name]
    plugins = usable("task", (*TASKS, CUSTOM))
    if name in plugins:
        task: Task = plugins[name].load()
        return task
    raise unknown_name("task", name, [*TASKS, CUSTOM, *plugins])


def task_folder(name: str) -> str:
    """Return the name of a task's folder and prediction file."""
    return CUSTOM if name == CUSTOM else get_task(name).folder


def resolve_task(reference: TaskReference) -> Task:
    """Return the task that a reference names or defines."""
    return get_task(reference) if isinstance(reference, str) else custom_task(parse_definition(reference))
