"""Matching of a checkpoint's classification head with a task's labels, by name and never by position.

Data loaders disagree on which label is column 0: in FastFormers' BoolQ it is true, elsewhere mostly false.
A checkpoint whose labels have no names is therefore refused: its answers could be scored the wrong way round.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import read_config, tensor_names, weight_files
from harness.common.errors import CheckpointError
from harness.workload.tasks.base import Head, Task

_NAMELESS = re.compile(r"LABEL_\d+")
"""The names that transformers gives to labels without one."""

_FLOAT = re.compile(r"[+-]?\d+\.0+")
"""A whole number as a spreadsheet writes a column of numbers with gaps."""

HEAD_MODULES = (
    *("classifier", "pre_classifier", "score", "logits_proj"),
    *("classification_head", "sequence_summary"),
)
"""The first part of a head's tensor names in transformers' sequence classifiers."""

MULTI_LABEL = "multi_label_classification"
_SEVERAL = "each label holds or not, independently of the others"
_RETRAIN = "Use a checkpoint that was fine-tuned for such a task, or fine-tune one: `bench train`."
_NAME_LABELS = (
    "Name the columns of its labels, --label A,B,C, or one with a list of labels; for rows without labels "
    "add --multi-label (docs/howto/custom.md)."
)
_DECLARE = (
    f'If it was trained with a sigmoid for each label, write "problem_type": "{MULTI_LABEL}" into its '
    "config.json."
)

REGRESSION = "regression"
"""The `problem_type` of a model that was trained to predict numbers."""


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
    names = label_names(config, where)
    if len(names) == len(task.labels) == 1:
        return [0]  # the only score of a choice needs no name
    if config.get("problem_type") == REGRESSION or len(names) == 1:
        raise _regression(names, task, where)
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
        f"its labels are {_listed(names)}; {task.name} needs {_listed(task.labels)}, matched by name.",
        where=where,
        remedy=_remedy(task, names),
    )


def label_names(config: Mapping[str, Any], where: str) -> list[str]:
    """Return the name of each column, as transformers reads config.json; CheckpointError if it is ambiguous.

    Without `id2label` the names are LABEL_0, LABEL_1 and so on: two of them, or `num_labels`.
    """
    id2label = config.get("id2label")
    if not id2label:
        return [f"LABEL_{column}" for column in range(_count_labels(config, where))]
    numbered = _numbered(id2label)
    if numbered is None:
        raise CheckpointError(
            f"id2label in config.json must map numbers from 0 on to names, got {_shorten(id2label)}.",
            where=where,
            remedy=f"Write it as {_shorten(_inverted(id2label))}.",
        )
    names = [numbered[column] for column in range(len(numbered))]
    if len(set(names)) < len(names):
        raise CheckpointError(
            f"id2label in config.json has two labels of the same name: {_listed(names)}.",
            where=where,
            remedy="Give each label a name of its own.",
        )
    _check_inverse(names, config.get("label2id"), where)
    return names


def require_head(folder: Path, task: Task, name: str = "") -> None:
    """Raise CheckpointError if a checkpoint has no classification head for the task, or other labels.

    `name` is the user's name for it, where the folder is a copy in the cache.
    """
    config, where = read_config(folder), name or folder.name
    names = [name for path in weight_files(folder) for name in tensor_names(path)]
    # without a name, transformers takes the class that the caller wants
    architectures = [str(name) for name in config.get("architectures") or ()]
    suffix = "ForSpanClassification" if task.head == "span" else "ForSequenceClassification"
    fits = any(name.endswith(suffix) for name in architectures) if architectures else task.head != "span"
    if not (fits and has_head(names)):
        raise CheckpointError(
            f"the checkpoint ({', '.join(architectures) or 'an architecture without a name'}) has no head "
            f"for {task.name} (...{suffix}).",
            where=where,
            remedy=f"Fine-tune it first: `bench train --task {task.model_task}` adds the head.",
        )
    label_columns(config, task, where)


def has_head(tensors: Iterable[str]) -> bool:
    """Return whether tensors with these names include a classification head that `require_head` accepts."""
    return any(name.split(".")[0] in HEAD_MODULES for name in tensors)


def _remedy(task: Task, names: Sequence[str]) -> str:
    if task.name != "custom":
        return (
            f"Fine-tune it (`bench train --task {task.model_task}`), or name them in config.json (id2label)."
        )
    if all(_NAMELESS.fullmatch(name) for name in names):
        return f"Name them with --labels NAME,... in the order of {names[0]} to {names[-1]}."
    if {_plain(label) for label in task.labels} < {_plain(name) for name in names}:
        return (
            f"The data has {len(task.labels)} of the model's {len(names)} labels. "
            f"Name all of them: --labels {','.join(names)}."
        )
    if any(_FLOAT.fullmatch(label) for label in task.labels):
        return (
            "A spreadsheet wrote whole numbers as 1.0: format the label's column as text, or as numbers "
            "without decimals, and save the file again."
        )
    return "Write the labels in the data as the model names them, or name them in config.json (id2label)."


def _regression(names: Sequence[str], task: Task, where: str) -> CheckpointError:
    outputs = "one output, a number" if len(names) == 1 else f"problem_type {REGRESSION}"
    return CheckpointError(
        f"it is a model for regression ({outputs}); {task.name} needs {_listed(task.labels)}.",
        where=where,
        remedy=f"Fine-tune it for the task: `bench train --task {task.model_task}`.",
    )


def _count_labels(config: Mapping[str, Any], where: str) -> int:
    count = config.get("num_labels")
    if count is None:
        return 2
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise CheckpointError(
            f"num_labels in config.json must be an integer of 1 or more, got {count!r}.",
            where=where,
            remedy="Correct it, or name the labels (id2label).",
        )
    return count


def _numbered(id2label: object) -> dict[int, str] | None:
    """Return names by column; None unless the keys are the numbers from 0 on and the values are names."""
    if not isinstance(id2label, Mapping):
        return None
    try:
        numbered = {int(column): name for column, name in id2label.items()}
    except (TypeError, ValueError):
        return None
    if sorted(numbered) != list(range(len(id2label))):
        return None
    if not all(isinstance(name, str | int) and not isinstance(name, bool) for name in numbered.values()):
        return None
    return {column: str(name) for column, name in numbered.items()}


def _inverted(id2label: object) -> Mapping[str, str]:
    """Return what id2label should be: the same names by number, where that is clear, or an example."""
    if isinstance(id2label, Mapping):
        columns = [int(column) for column in id2label.values() if str(column).isdecimal()]
        if sorted(columns) == list(range(len(id2label))):
            names = sorted(zip(columns, id2label, strict=True))
            return {str(column): str(name) for column, name in names}
    return {"0": "false", "1": "true"}


def _check_inverse(names: Sequence[str], label2id: object, where: str) -> None:
    """Raise CheckpointError if label2id has the same names in other columns."""
    if not isinstance(label2id, Mapping) or set(label2id) != set(names):
        return  # left over from before the labels were named; transformers reads id2label
    if any(str(label2id[name]) != str(column) for column, name in enumerate(names)):
        by_column = dict(enumerate(names))
        raise CheckpointError(
            f"id2label and label2id in config.json contradict each other: {_shorten(by_column)} and "
            f"{_shorten(label2id)}.",
            where=where,
            remedy="Correct the one that is wrong: the order in which the model was trained is right.",
        )


def _listed(names: Sequence[str]) -> str:
    """Return names in one line, in quotes where a blank or another invisible character may hide."""
    return ", ".join(
        name if name.strip().isprintable() and name == name.strip() else repr(name) for name in names
    )


def _shorten(value: object, limit: int = 120) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
