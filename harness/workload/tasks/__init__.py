"""The table of tasks: one file each, one line here."""

from collections.abc import Mapping
from typing import Any

from harness.common.errors import UsageError, unknown_name
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
"""Answered by RTE's models, and no part of the average."""

TASKS: dict[str, Task] = {task.name: task for task in (*SUPERGLUE, *DIAGNOSTICS)}


def get_task(name: str) -> Task:
    """Return the task of this name; UsageError with the nearest names if there is none.

    `custom` is no task before it is known whose: UsageError with what must be said.
    """
    if name == CUSTOM:
        raise UsageError(
            "the task custom needs your data, and which of its columns is what.",
            remedy="Say --data FILE --text COLUMN (or A,B for a pair) --label COLUMN.",
        )
    if name in TASKS:
        return TASKS[name]
    more = usable("task", (*TASKS, CUSTOM))
    if name in more:
        found: Task = more[name].load()
        return found
    raise unknown_name("task", name, [*TASKS, CUSTOM, *more])


def task_folder(name: str) -> str:
    """Return the name of a task's folder and prediction file."""
    return CUSTOM if name == CUSTOM else get_task(name).folder


TaskReference = str | Mapping[str, Any]
"""A task as it crosses to a worker: its name, or the definition of a custom one."""


def resolve_task(words: TaskReference) -> Task:
    """Return the task that these words mean."""
    return get_task(words) if isinstance(words, str) else custom_task(parse_definition(words))
