"""One distillation: its parameters, teacher, student and texts, and the cache key that they determine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from baselines.checkpoints.artifacts import cache_key, cpu_has_bf16, library_versions
from baselines.encoding.tokenizer import TextEncoder
from baselines.training.datasets import TrainingSettings
from harness.systems.interface import (
    Artifact,
    Checkpoint,
    Predictions,
    PreparationContext,
    PreparationSources,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.distillation.student import Student

VERSION = 1
LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers")

# names and paths stay out of the key, which has the hashes of what they refer to
_NOT_IN_KEY = ("student", "teacher", "extra_text", "max_length")

# in the key only where they differ from their defaults, so that what was made before they existed is found
_IN_KEY_IF_SET = ("patience", "average", "quantization_aware")


@dataclass(frozen=True, slots=True)
class TeacherTexts:
    """Texts that the teacher labels softly, with their sha256; `extra` texts have no labels of their own."""

    examples: Sequence[Example]
    sha256: str
    extra: bool = False


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """Texts, the teacher's logits of them, and the artifact that holds the logits."""

    texts: TeacherTexts
    predictions: Predictions
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class DistillationSettings:
    """The parameters of a distillation.

    `student` is `last` (the chain's last checkpoint), `layers:0,2,4` (these layers of the teacher),
    `layers:half` (every second layer), or a checkpoint by name or folder, with or without a head. `teacher`
    is the chain's first checkpoint, its last, or the one before the last (`previous`).

    `temperature` divides the logits of both; `hard_label` is the labels' share of the loss, from 0 (teacher
    only) to 1; `hidden` and `attention` weight the hidden-state loss and the attention loss, which need the
    same tokenizer on both sides. `extra_text` is a file in the task's official layout, or a list of them,
    whose labels are not read. With `max_length` None, the length of the settings holds; with `bf16` None,
    bfloat16 is used where the processor has it. `hidden_act` replaces the student's activation. With
    `keep_best` False the last epoch is kept instead of the best. `patience` and `average` are as in
    `TrainingSettings`. With `quantization_aware` the student's weights and activations are rounded in
    training as `native-int8` rounds them, in float32 unless `bf16` is True.
    """

    student: str = "last"
    teacher: Literal["first", "previous", "last"] = "first"
    temperature: float = 1.0
    hard_label: float = 0.0
    hidden: float = 0.0
    attention: float = 0.0
    epochs: int = 6
    learning_rate: float = 5e-5
    batch: int = 16
    max_length: int | None = None
    seed: int = 0
    extra_text: str | Sequence[str] = ""
    hidden_act: str | None = None
    keep_best: bool = True
    bf16: bool | None = None
    patience: int = 0
    average: float = 0.0
    quantization_aware: bool = False

    @property
    def kind(self) -> str:
        """The recipe's name."""
        return "distil"

    @property
    def student_bf16(self) -> bool | None:
        """Whether the student trains in bfloat16: its 8 bits would hide the rounding to int8."""
        return False if self.quantization_aware and self.bf16 is None else self.bf16

    def key_parameters(self) -> dict[str, Any]:
        """Return the parameters that belong to the cache key."""
        default = {field.name for field in fields(self) if getattr(self, field.name) == field.default}
        left_out = {*_NOT_IN_KEY, *default.intersection(_IN_KEY_IF_SET)}
        return {name: value for name, value in asdict(self).items() if name not in left_out}


@dataclass(frozen=True, slots=True)
class DistillationJob:
    """The parameters of one distillation with everything they refer to."""

    recipe: DistillationSettings
    task: Task
    teacher: Checkpoint
    student: Student
    max_length: int
    sources: PreparationSources
    context: PreparationContext

    @property
    def tuning(self) -> TrainingSettings:
        """The settings of the training loop."""
        names = ("epochs", "learning_rate", "batch", "seed", "patience", "average")
        return TrainingSettings(
            max_length=self.max_length,
            bf16=self.recipe.student_bf16,
            **{name: getattr(self.recipe, name) for name in names},
        )

    @property
    def parents(self) -> list[str]:
        """The fingerprints of teacher and student."""
        return [self.teacher.fingerprint, self.student.checkpoint.fingerprint]

    def encoders(self) -> list[TextEncoder]:
        """Return the teacher's and the student's; UsageError if either model has too few positions."""
        checkpoints = (self.teacher, self.student.checkpoint)
        return [TextEncoder(checkpoint.folder, self.max_length) for checkpoint in checkpoints]

    def key(self, data: str, extra: str) -> str:
        """Return the cache key for training texts and extra texts with these hashes."""
        return cache_key(
            self.recipe.kind,
            VERSION,
            self.task,
            self.parents,
            parameters=self.recipe.key_parameters(),
            layers=self.student.layers,
            data=data,
            extra=extra,
            encodings=[encoder.encoding for encoder in self.encoders()],
            device=self.context.placement.device,
            cpu_has_bf16=cpu_has_bf16(),  # decides the precision where `bf16` is None
            libraries=library_versions(*LIBRARIES),
        )
