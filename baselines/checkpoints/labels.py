"""A checkpoint's classification head and a task's labels, matched by name and never by position.

Loaders disagree on which label is column 0 (FastFormers' BoolQ has true first, the common data loaders have
false first), so a checkpoint whose labels have no names cannot be scored honestly and is refused.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import read_config, tensor_names, weight_files
from harness.common.errors import CheckpointError
from harness.workload.tasks.base import Task

# what transformers calls a label that has no name
_NAMELESS = re.compile(r"LABEL_\d+")
# the first part of a head's tensor names in transformers' sequence classifiers
_HEADS = ("classifier", "pre_classifier", "score", "logits_proj")


def label_columns(config: Mapping[str, Any], task: Task, where: str) -> list[int]:
    """Return, for each label of the task in its order, the column that holds its logit.

    Names match exactly, or else without regard to case and to blanks, hyphens and underscores.
    CheckpointError if the checkpoint's labels are not the task's.
    """
    names = _label_names(config)
    if len(names) == len(task.labels) == 1:
        return [0]  # the one score of a choice: there is nothing to mistake it for
    if task.positional and all(_NAMELESS.fullmatch(name) for name in names):
        if len(names) == len(task.labels):
            return list(range(len(names)))
        raise CheckpointError(
            f"it has {len(names)} labels without names, and --labels names {len(task.labels)}.", where=where
        )
    for form in (str, _plain):
        columns = {form(name): column for column, name in enumerate(names)}
        wanted = [form(label) for label in task.labels]
        if len(columns) == len(names) and sorted(columns) == sorted(wanted):
            return [columns[label] for label in wanted]
    raise CheckpointError(
        f"its labels are {', '.join(names)}; {task.name} needs {', '.join(task.labels)}, matched by name.",
        where=where,
        remedy=_remedy(task, names),
    )


def _remedy(task: Task, names: Sequence[str]) -> str:
    if task.name == "custom" and all(_NAMELESS.fullmatch(name) for name in names):
        return f"Say which is which: --labels NAME,... in the order of {names[0]} to {names[-1]}."
    return f"Fine-tune it (`bench train --task {task.model_task}`), or name them in config.json (id2label)."


def require_head(folder: Path, task: Task) -> None:
    """Refuse a checkpoint that has no classification head or one for other labels."""
    config = read_config(folder)
    names = [name for path in weight_files(folder) for name in tensor_names(path)]
    headed = any(name.split(".")[0] in _HEADS for name in names)
    architectures = config.get("architectures") or ["an architecture without a name"]
    kind = "ForSpanClassification" if task.head == "span" else "ForSequenceClassification"
    if not headed or not any(str(name).endswith(kind) for name in architectures):
        raise CheckpointError(
            f"the checkpoint ({', '.join(architectures)}) has no head for {task.name} (...{kind}).",
            where=folder.name,
            remedy=f"Fine-tune it first: `bench train --task {task.model_task}` writes one that can be run.",
        )
    label_columns(config, task, folder.name)


def _label_names(config: Mapping[str, Any]) -> Sequence[str]:
    named = config.get("id2label")
    if not named:
        # what transformers calls the labels of a checkpoint that names none
        return [f"LABEL_{column}" for column in range(int(config.get("num_labels", 2)))]
    return [str(named[column]) for column in sorted(named, key=int)]


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")
