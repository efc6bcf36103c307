"""The student: the chain's last checkpoint, another checkpoint by name, or some layers of the teacher."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.checkpoints.folder import CONFIG, TOKENIZER, read_config, weight_files
from baselines.checkpoints.labels import require_head
from baselines.models.families import facts_of, family_of
from baselines.models.shape import shape_fields, shape_of
from baselines.training.datasets import label_names
from harness.common.errors import CheckpointError, UnsupportedError, UsageError
from harness.systems.interface import Checkpoint, PreparationSources
from harness.workload.tasks.base import Task

if TYPE_CHECKING:
    from torch.nn import Module

LAST = "last"
_LAYERS, _HALF = "layers:", "half"
_HEADED = ("ForSequenceClassification", "ForSpanClassification")


@dataclass(frozen=True, slots=True)
class Student:
    """The initial student: a checkpoint, its layers to keep (empty: all), its activation (None: unchanged).

    `headed` is True if the checkpoint has the task's head. Otherwise the student gets a new one.
    """

    checkpoint: Checkpoint
    layers: tuple[int, ...] = ()
    hidden_act: str | None = None
    headed: bool = False


def find_student(
    name: str,
    hidden_act: str | None,
    task: Task,
    chain: Sequence[Checkpoint],
    teacher: Checkpoint,
    sources: PreparationSources,
) -> Student:
    """Return the student called `name`: `last`, layers of the teacher, or a checkpoint by name or folder.

    CheckpointError for a head with other labels than the task's, UsageError for a name without a student.
    """
    layers: tuple[int, ...] = ()
    if name == LAST:
        checkpoint = chain[-1]
    elif name.startswith(_LAYERS):
        checkpoint, layers = teacher, _parse_layers(name, teacher)
    else:
        if sources.resolve is None:
            remedy = f"Students: {LAST}, {_LAYERS}{_HALF}, {_LAYERS}0,2,4."
            raise UsageError(f"student {name!r} cannot be looked up here.", remedy=remedy)
        checkpoint = sources.resolve(name)
    student = Student(checkpoint, layers, hidden_act, _is_headed(checkpoint, task))
    if checkpoint.fingerprint == teacher.fingerprint and not (layers or hidden_act):
        raise UsageError(
            "student and teacher are the same checkpoint, so there is nothing to distil.",
            where=checkpoint.name,
            remedy=f"Name another student, such as minilm, or layers of the teacher ({_LAYERS}{_HALF}).",
        )
    if hidden_act is not None:
        family_of(read_config(checkpoint.folder), checkpoint.name, "another activation of the student")
    return student


def check_activation(student: Student) -> None:
    """Refuse an activation that transformers does not have."""
    from transformers.activations import ACT2FN

    if student.hidden_act is not None and student.hidden_act not in ACT2FN:
        raise UsageError(
            f"unknown activation: hidden_act {student.hidden_act!r}.",
            remedy=f"Use one of {', '.join(ACT2FN)}.",
        )


def build(student: Student, task: Task, work: Path, seed: int) -> "Module":
    """Return the initial student in float32; with a new activation, `work` receives a copy of its files."""
    from transformers.trainer_utils import set_seed

    from baselines.models.classifier import load_classifier
    from baselines.models.resize import keep_layers
    from baselines.training import trainer

    folder = student.checkpoint.folder
    if student.hidden_act is not None:
        folder = _with_activation(folder, work / "student", student.hidden_act)
    set_seed(seed)
    if student.headed:
        model = load_classifier(folder)
    else:
        names = label_names(task, student.checkpoint)
        model = trainer.new_classifier(folder, names, head=task.head, seed=seed)
    if student.layers:
        keep_layers(model, student.layers)
    return model


def _is_headed(checkpoint: Checkpoint, task: Task) -> bool:
    """Return whether the checkpoint has the task's head; CheckpointError if it has another one."""
    architectures = [str(name) for name in read_config(checkpoint.folder).get("architectures") or ()]
    if not any(name.endswith(_HEADED) for name in architectures):
        return False
    try:
        require_head(checkpoint.folder, task)
    except CheckpointError as problem:
        raise CheckpointError(
            f"this student cannot learn {task.name}: {problem.message}",
            where=checkpoint.name,
            remedy="Name a student without a head, or one whose head has the task's labels.",
        ) from problem
    return True


def _parse_layers(name: str, teacher: Checkpoint) -> tuple[int, ...]:
    facts = facts_of(read_config(teacher.folder), teacher.name, "a student of the teacher's layers")
    count = len(facts.layers)
    numbers = name.removeprefix(_LAYERS).split(",")
    if facts.shared_layers and len(set(facts.shared_with)) > 1:
        raise UnsupportedError(
            "a student of the teacher's layers has no several groups of layers with shared weights.",
            where=teacher.name,
            remedy="Name another student.",
        )
    if numbers == [_HALF]:
        return tuple(range(0, count, 2))
    layers = tuple(int(number) if number.strip().isdecimal() else -1 for number in numbers)
    if not all(0 <= layer < count for layer in layers) or list(layers) != sorted(set(layers)):
        raise UsageError(
            f"expected layers of the teacher, 0 to {count - 1}, each once and in order; got {name!r}.",
            remedy=f"Write {_LAYERS}0,2,4, say, or {_LAYERS}{_HALF}.",
        )
    if not facts.layers[0].attention_norm and layers[0] != 0:
        raise UsageError(
            f"{facts.family}'s first layer has no norm of its own, and {name!r} leaves it out.",
            remedy=f"Begin with layer 0: {_LAYERS}0,2,4, say.",
        )
    return layers


def _with_activation(folder: Path, target: Path, hidden_act: str) -> Path:
    """Return a folder with the same weights and a configuration with this activation."""
    config = read_config(folder)
    fields = shape_fields(config, replace(shape_of(config), activation=hidden_act))
    config.update({name: value for name, value in fields.items() if value is not None})
    target.mkdir(exist_ok=True)
    for path in [*weight_files(folder), folder / TOKENIZER]:
        (target / path.name).unlink(missing_ok=True)
        (target / path.name).symlink_to(path.resolve())
    (target / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return target
