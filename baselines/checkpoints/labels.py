"""Matching of a checkpoint's classification head with a task's labels, by name and never by position.

Data loaders disagree on which label is column 0: in FastFormers' BoolQ it is true, elsewhere mostly false.
A checkpoint whose labels have no names is therefore refused: its answers could be scored the wrong way round.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import read_config, tensor_names, weight_files
from harness.common.errors import CheckpointError
from harness.workload.tasks.base import Head, Task

_NAMELESS = re.compile(r"LABEL_\d+")
"""The names that transformers gives to labels without one."""

MULTI_LABEL = "multi_label_classification"
_SEVERAL = "each label holds or not, independently of the others"
_RETRAIN = "Use a checkpoint that was fine-tuned for such a task, or fine-tune one: `bench train`."
_NAME_LABELS = (
    "Name the columns of its labels, --label A,B,C, or one with a list of labels; for rows without labels "
    "add --multi-label (docs/custom.md)."
)
_DECLARE = (
    f'If it was trained with a sigmoid for each label, write "problem_type": "{MULTI_LABEL}" into its '
    "config.json."
)

_HEAD_MODULES = ("classifier", "pre_classifier", "score", "logits_proj")
"""The first part of a head's tensor names in transformers' sequence classifiers."""


def label_columns(config: Mapping[str, Any], task: Task, where: str) -> list[int]:
    """Return, for each label of the task in its order, the column of its logit.

    Names are compared exactly first, then ignoring case, blanks, hyphens and underscores.
    CheckpointError if the checkpoint answers another kind of problem, or its labels are not the task's.
    """
    check_problem_type(config, task, where)
    return match_labels(config, task, where)


def check_problem_type(config: Mapping[str, Any], task: Task, where: str) -> None:
    """Raise CheckpointError unless logits become answers as the task makes them, by `problem_type`.

    Training with transformers writes the field, and transformers takes a checkpoint without it for one with a
    single label per example. The scores of a choice are compared whatever trained them.
    """
    problem = config.get("problem_type")
    if task.head == "choice" or problem == problem_type_of(task.head):
        return
    if task.head == "multi_label":
        message = (
            f"{task.name} has any number of labels per example, and the checkpoint is not for such a task"
        )
        remedy = _RETRAIN if problem else _DECLARE
    elif problem == MULTI_LABEL:
        message = f"{task.name} has one label per example, and for the checkpoint {_SEVERAL}"
        remedy = _NAME_LABELS if task.name == "custom" else _RETRAIN
    elif problem == "regression":
        message = f"{task.name} has labels, and the outputs of the checkpoint are numbers"
        remedy = _RETRAIN
    else:
        return
    raise CheckpointError(f"{message} ({_describe(problem)}).", where=where, remedy=remedy)


def problem_type_of(head: Head) -> str | None:
    """Return the `problem_type` of checkpoints with this head; None where the library needs none."""
    return MULTI_LABEL if head == "multi_label" else None


def _describe(problem: object) -> str:
    return "config.json has no problem_type" if problem is None else f"problem_type {problem} in config.json"


def match_labels(config: Mapping[str, Any], task: Task, where: str) -> list[int]:
    """Return the same for a checkpoint whose head is trained anew, so that its kind does not matter."""
    names = _label_names(config)
    if len(names) == len(task.labels) == 1:
        return [0]  # the only score of a choice needs no name
    if task.positional and all(_NAMELESS.fullmatch(name) for name in names):
        if len(names) == len(task.labels):
            return list(range(len(names)))
        raise CheckpointError(
            f"expected {len(names)} names in --labels, one for each label of the model, "
            f"got {len(task.labels)}.",
            where=where,
            remedy=f"Name all labels, in the order of {names[0]} to {names[-1]}.",
        )
    for normalise in (str, _plain):
        columns = {normalise(name): column for column, name in enumerate(names)}
        labels = [normalise(label) for label in task.labels]
        if len(columns) == len(names) and sorted(columns) == sorted(labels):
            return [columns[label] for label in labels]
    raise CheckpointError(
        f"its labels are {', '.join(names)}; {task.name} needs {', '.join(task.labels)}, matched by name.",
        where=where,
        remedy=_remedy(task, names),
    )


def _remedy(task: Task, names: Sequence[str]) -> str:
    if task.name == "custom" and all(_NAMELESS.fullmatch(name) for name in names):
        return f"Name them with --labels NAME,... in the order of {names[0]} to {names[-1]}."
    return f"Fine-tune it (`bench train --task {task.model_task}`), or name them in config.json (id2label)."


def require_head(folder: Path, task: Task) -> None:
    """Raise CheckpointError if a checkpoint has no classification head for the task, or other labels."""
    config = read_config(folder)
    names = [name for path in weight_files(folder) for name in tensor_names(path)]
    has_head = any(name.split(".")[0] in _HEAD_MODULES for name in names)
    architectures = config.get("architectures") or ["an architecture without a name"]
    suffix = "ForSpanClassification" if task.head == "span" else "ForSequenceClassification"
    if not has_head or not any(str(name).endswith(suffix) for name in architectures):
        raise CheckpointError(
            f"the checkpoint ({', '.join(architectures)}) has no head for {task.name} (...{suffix}).",
            where=folder.name,
            remedy=f"Fine-tune it first: `bench train --task {task.model_task}` adds the head.",
        )
    label_columns(config, task, folder.name)


def _label_names(config: Mapping[str, Any]) -> Sequence[str]:
    id2label = config.get("id2label")
    if not id2label:
        return [f"LABEL_{column}" for column in range(int(config.get("num_labels", 2)))]
    return [str(id2label[column]) for column in sorted(id2label, key=int)]


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")
