"""Who learns: the chain's last checkpoint, another one by name, or layers cut out of the teacher."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import CONFIG, TOKENIZER, read_config, weight_files
from baselines.checkpoints.labels import require_head
from baselines.models.shape import require_family, shape_fields, shape_of
from baselines.training.datasets import label_names
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import Checkpoint, PreparationSources
from harness.workload.tasks.base import Task

LAST = "last"
_LAYERS, _HALF = "layers:", "half"
_HEADED = ("ForSequenceClassification", "ForSpanClassification")


@dataclass(frozen=True, slots=True)
class Student:
    """Where a student begins: a checkpoint, the layers that are kept of it (empty: all), its activation.

    `headed` says that its head is the task's; otherwise it gets a new one.
    """

    checkpoint: Checkpoint
    layers: tuple[int, ...] = ()
    hidden_act: str | None = None
    headed: bool = False


def find_student(
    named: str,
    hidden_act: str | None,
    task: Task,
    chain: Sequence[Checkpoint],
    teacher: Checkpoint,
    sources: PreparationSources,
) -> Student:
    """Return the student that `named` means: `last`, layers of the teacher, a name or a folder.

    CheckpointError for a head of other labels than the task's, UsageError for what cannot be meant.
    """
    layers: tuple[int, ...] = ()
    if named == LAST:
        checkpoint = chain[-1]
    elif named.startswith(_LAYERS):
        checkpoint, layers = teacher, _layers(named, teacher)
    else:
        if sources.resolve is None:
            remedy = f"Students: {LAST}, {_LAYERS}{_HALF}, {_LAYERS}0,2,4."
            raise UsageError(f"student {named!r} cannot be looked up here.", remedy=remedy)
        checkpoint = sources.resolve(named)
    student = Student(checkpoint, layers, hidden_act, _is_headed(checkpoint, task))
    if checkpoint.fingerprint == teacher.fingerprint and not (layers or hidden_act):
        raise UsageError(
            "the student is its own teacher: there is nothing to learn.",
            where=checkpoint.name,
            remedy=f"Name another student, such as minilm, or layers of the teacher ({_LAYERS}{_HALF}).",
        )
    if hidden_act is not None:
        require_family(read_config(checkpoint.folder), checkpoint.name)
    return student


def check_activation(student: Student) -> None:
    """Refuse an activation that transformers does not know."""
    from transformers.activations import ACT2FN

    if student.hidden_act is not None and student.hidden_act not in ACT2FN:
        raise UsageError(
            f"hidden_act {student.hidden_act!r} is no activation.", remedy=f"Known: {', '.join(ACT2FN)}."
        )


def build(student: Student, task: Task, work: Path, seed: int) -> Any:  # noqa: ANN401 -- transformers has no types
    """Return the student as it begins, in float32; `work` may take a copy of its files."""
    from transformers.trainer_utils import set_seed

    from baselines.models.classifier import load_classifier
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
        _cut(model, student.layers)
    return model


def _is_headed(checkpoint: Checkpoint, task: Task) -> bool:
    """Say whether it has the task's head; CheckpointError if it has another one."""
    names = [str(name) for name in read_config(checkpoint.folder).get("architectures") or ()]
    if not any(name.endswith(_HEADED) for name in names):
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


def _layers(named: str, teacher: Checkpoint) -> tuple[int, ...]:
    there = shape_of(read_config(teacher.folder), teacher.name).layers
    words = named.removeprefix(_LAYERS).split(",")
    if words == [_HALF]:
        return tuple(range(0, there, 2))
    layers = tuple(int(word) if word.strip().isdecimal() else -1 for word in words)
    if not all(0 <= layer < there for layer in layers) or list(layers) != sorted(set(layers)):
        raise UsageError(
            f"student {named!r} names no layers of the teacher, which has 0 to {there - 1}.",
            remedy=f"Name some of them once, in order ({_LAYERS}0,2,4), or {_LAYERS}{_HALF}.",
        )
    return layers


def _cut(model: Any, kept: Sequence[int]) -> None:  # noqa: ANN401
    """Keep these layers of the encoder, and forget the others."""
    import torch

    from baselines.models.resize import set_shape

    shape = shape_of(model.config.to_dict())
    encoder = model.base_model if hasattr(model, "base_model") else model.encoder
    stack = encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder
    stack.layer = torch.nn.ModuleList([stack.layer[at] for at in kept])
    heads, ffn = (tuple(sizes[at] for at in kept) for sizes in (shape.heads, shape.ffn))
    set_shape(model.config, replace(shape, heads=heads, ffn=ffn))


def _with_activation(folder: Path, target: Path, hidden_act: str) -> Path:
    """Return a folder with the same weights whose configuration names this activation."""
    config = read_config(folder)
    fields = shape_fields(config, replace(shape_of(config), activation=hidden_act))
    config.update({name: value for name, value in fields.items() if value is not None})
    target.mkdir(exist_ok=True)
    for path in [*weight_files(folder), folder / TOKENIZER]:
        (target / path.name).unlink(missing_ok=True)
        (target / path.name).symlink_to(path.resolve())
    (target / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return target
