"""The table of tasks: one file each, one line here."""

from harness.errors import unknown_name
from harness.tasks.base import Task
from harness.tasks.boolq import BOOLQ
from harness.tasks.cb import CB
from harness.tasks.rte import RTE

TASKS: dict[str, Task] = {task.name: task for task in (BOOLQ, CB, RTE)}


def get_task(name: str) -> Task:
    """Return the task of this name; UsageError with the nearest names if there is none."""
    try:
        return TASKS[name]
    except KeyError:
        raise unknown_name("task", name, TASKS) from None
