"""What one distillation is given: its parameters, teacher, student, texts, and the cache key they make."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from baselines.checkpoints.artifacts import cache_key, cpu_has_bf16, library_versions
from baselines.encoding.tokenizer import TextEncoder
from baselines.training.datasets import TrainingSettings
from harness.systems.interface import Checkpoint, PreparationContext, PreparationSources
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.distillation.student import Student

VERSION = 1
LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers")
KNOWN_FAMILIES = ("bert", "distilbert", "roberta")
"""Whose layers `baselines.models.resize.layers_of` finds."""

# where something is found is no part of a key: what was found is, by hash
_PLACES = ("student", "teacher", "extra_text", "max_length")


@dataclass(frozen=True, slots=True)
class TeacherTexts:
    """Texts that the teacher speaks of; `sha256` names them, and `extra` are without labels."""

    examples: Sequence[Example]
    sha256: str
    extra: bool = False


@dataclass(frozen=True, slots=True)
class DistillationSettings:
    """The parameters of a distillation.

    `student` is `last` (the chain's last checkpoint), `layers:0,2,4` (those of the teacher), `layers:half`
    (every second one), or a checkpoint by name or folder, with or without a head. `teacher` is the chain's
    first checkpoint, its last, or the one before its last.

    `temperature` softens both sides; `hard_label` is the labels' share of the loss, from 0 (the teacher
    alone) to 1; `hidden` and `attention` weigh the token-level losses, for two that tokenise alike.
    `extra_text` is a file in the task's official layout whose labels are not read. `max_length` None is that
    of the settings; `bf16` None lets the processor decide; `hidden_act` replaces the student's activation;
    `keep_best` False keeps the last epoch.
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
    extra_text: str = ""
    hidden_act: str | None = None
    keep_best: bool = True
    bf16: bool | None = None

    @property
    def kind(self) -> str:
        """The recipe's name."""
        return "distil"


@dataclass(frozen=True, slots=True)
class DistillationJob:
    """One distillation: the student, its teacher, and what they are trained with."""

    recipe: DistillationSettings
    task: Task
    teacher: Checkpoint
    student: Student
    max_length: int
    sources: PreparationSources
    workshop: PreparationContext

    @property
    def tuning(self) -> TrainingSettings:
        """How to train."""
        names = ("epochs", "learning_rate", "batch", "seed", "bf16")
        return TrainingSettings(
            max_length=self.max_length, **{name: getattr(self.recipe, name) for name in names}
        )

    @property
    def parents(self) -> list[str]:
        """Teacher and student, by fingerprint."""
        return [self.teacher.fingerprint, self.student.checkpoint.fingerprint]

    def encoders(self) -> list[TextEncoder]:
        """Return the teacher's and the student's; UsageError where one cannot take the length."""
        return [TextEncoder(one.folder, self.max_length) for one in (self.teacher, self.student.checkpoint)]

    def key(self, data: str, extra: str) -> str:
        """Return the cache key of what this job makes of texts with these hashes."""
        recipe = asdict(self.recipe)
        return cache_key(
            self.recipe.kind,
            VERSION,
            self.task,
            self.parents,
            parameters={name: value for name, value in recipe.items() if name not in _PLACES},
            layers=self.student.layers,
            data=data,
            extra=extra,
            encodings=[encoder.encoding for encoder in self.encoders()],
            device=self.workshop.placement.device,
            cpu_has_bf16=cpu_has_bf16(),  # which arithmetic `bf16` None means
            libraries=library_versions(*LIBRARIES),
        )
