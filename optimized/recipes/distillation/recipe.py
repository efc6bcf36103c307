"""Knowledge distillation: a small model learns to answer as a fine-tuned one does.

    training texts --teacher, once--> logits      train --hash of the first text--> trained on | held out
    student --trained towards the logits--> score per epoch on what is held out --> the best epoch is kept

As in FastFormers (Kim and Hassan Awadalla 2020) the loss is the soft cross-entropy to the teacher, and
optionally that of hidden states. Unlike there, widths may differ, each side reads with its own tokenizer, a
training goes on where it was interrupted, and the split that is reported chooses nothing.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from baselines.artifacts import cache_key, cpu_has_bf16, library_versions
from baselines.finetune import Tuning
from baselines.folder import TOKENIZER, file_sha256, read_config
from baselines.text import TextEncoder
from harness.errors import CheckpointError, DataError, UsageError
from harness.system import Artifact, Checkpoint, Example, Settings, Sources, Workshop
from harness.tasks.base import Task
from optimized.recipe import Made, made_from
from optimized.resumable import find_or_resume
from optimized.student import Student, check_activation, find_student
from optimized.teacher import Lecture, require_teacher

VERSION = 1
LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers")
KNOWN_FAMILIES = ("bert", "distilbert", "roberta")
"""Whose layers `baselines.narrow.layers_of` finds."""

# where something is found is no part of a key: what was found is, by hash
_PLACES = ("student", "teacher", "extra_text", "max_length")


@dataclass(frozen=True, slots=True)
class Distil:
    """Distillation and its parameters.

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

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: Sources,
        settings: Settings,
        workshop: Workshop,
    ) -> Made:
        """Train the student, or find it in the cache.

        UsageError for parameters that make no sense, CheckpointError for a teacher or a student of another
        task, DataError for texts that cannot be read, MeasurementError for a loss that is no number.
        """
        _check(self)
        teacher = _choose(chain, self.teacher)
        require_teacher(task, teacher)
        student = find_student(self.student, self.hidden_act, task, chain, teacher, sources)
        length = self.max_length or settings.max_length
        course = Course(self, task, teacher, student, length, sources, workshop)
        artifact = course.find_or_train()
        learned = replace(teacher, trained_on=sources.training_sha256 or teacher.trained_on)
        return made_from(artifact, student.checkpoint.name, learned)


@dataclass(frozen=True, slots=True)
class Text:
    """Texts that the teacher speaks of; `sha256` names them, and `extra` are without labels."""

    examples: Sequence[Example]
    sha256: str
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """One distillation: who learns what of whom."""

    recipe: Distil
    task: Task
    teacher: Checkpoint
    student: Student
    max_length: int
    sources: Sources
    workshop: Workshop

    @property
    def tuning(self) -> Tuning:
        """How to train."""
        names = ("epochs", "learning_rate", "batch", "seed", "bf16")
        return Tuning(max_length=self.max_length, **{name: getattr(self.recipe, name) for name in names})

    @property
    def parents(self) -> list[str]:
        """Teacher and student, by fingerprint."""
        return [self.teacher.fingerprint, self.student.checkpoint.fingerprint]

    def encoders(self) -> list[TextEncoder]:
        """Return the teacher's and the student's; UsageError where one cannot take the length."""
        return [TextEncoder(one.folder, self.max_length) for one in (self.teacher, self.student.checkpoint)]

    def find_or_train(self) -> Artifact:
        """Return the artifact that the key names, trained where it is not there."""
        _check_features(self)
        extra = _file(self.recipe.extra_text)
        extra_sha256 = file_sha256(extra) if extra else ""
        _check_data(self.sources, extra_sha256)
        data = self.sources.training_sha256 or _sha256_of(_training(self.sources))
        key = self._key(data, extra_sha256)
        return self.workshop.cache.find(key) or self._train(key, data, extra)

    def _key(self, data: str, extra: str) -> str:
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

    def _train(self, key: str, data: str, extra: Path | None) -> Artifact:
        from baselines import training
        from optimized.course import train

        device = self.workshop.placement.device
        training.require_device(device)
        check_activation(self.student)
        bf16 = training.uses_bf16(device) if self.recipe.bf16 is None else self.recipe.bf16
        texts = [Text(_training(self.sources), data)]
        if extra:
            texts.append(Text(self.task.read(extra, labelled=False), file_sha256(extra), extra=True))
        asked = Lecture(self.task, self.teacher, self.max_length, bf16, self.workshop)
        taught = [(text, asked.on(text.examples, text.sha256)) for text in texts]
        return find_or_resume(
            self.workshop, key, lambda session, folder: train(self, taught, session, folder)
        )


def _check(recipe: Distil) -> None:
    """Refuse parameters that make no sense, by name."""
    possible = {
        "temperature": 0 < recipe.temperature < math.inf,
        "hard_label": 0 <= recipe.hard_label <= 1,
        "hidden": 0 <= recipe.hidden < math.inf,
        "attention": 0 <= recipe.attention < math.inf,
        "epochs": recipe.epochs >= 1,
        "learning_rate": 0 < recipe.learning_rate <= 1,
        "batch": recipe.batch >= 1,
        "max_length": recipe.max_length is None or recipe.max_length >= 1,
        "seed": recipe.seed >= 0,
        "teacher": recipe.teacher in ("first", "previous", "last"),
        "student": bool(recipe.student),
    }
    wrong = [name for name, fine in possible.items() if not fine]
    if wrong:
        raise UsageError(
            f"distil: {wrong[0]} cannot be {getattr(recipe, wrong[0])!r}.",
            remedy="temperature, learning_rate, epochs and batch are above 0; hard_label is from 0 to 1; "
            "hidden and attention are 0 or more; teacher is first, previous or last.",
        )


def _choose(chain: Sequence[Checkpoint], which: str) -> Checkpoint:
    if which == "first":
        return chain[0]
    if which == "last":
        return chain[-1]
    if len(chain) < 2:  # noqa: PLR2004 -- the last and the one before it
        raise UsageError("distil: there is no previous model before the first.", remedy="Use teacher: first.")
    return chain[-2]


def _check_features(course: Course) -> None:
    """Refuse token-level losses for two that tokenise differently, or whose layers are not known."""
    asked = [name for name in ("hidden", "attention") if getattr(course.recipe, name)]
    folders = [one.folder for one in (course.teacher, course.student.checkpoint)]
    families = {str(read_config(folder).get("model_type")) for folder in folders}
    if course.recipe.attention and not families <= set(KNOWN_FAMILIES):
        raise CheckpointError(
            f"the attention loss does not know the layers of {' and '.join(sorted(families))}.",
            remedy=f"Set attention to 0; it knows {', '.join(KNOWN_FAMILIES)}.",
        )
    if asked and len({file_sha256(folder / TOKENIZER) for folder in folders}) > 1:
        raise UsageError(
            f"distil: {' and '.join(asked)} compare token by token, and teacher "
            f"{course.teacher.name} and student {course.student.checkpoint.name} have different tokenizers.",
            remedy=f"Set {' and '.join(asked)} to 0: the logits alone need no common tokenizer.",
        )


def _check_data(sources: Sources, extra: str) -> None:
    """Refuse to learn from the texts that are reported."""
    named = {"training split": sources.training_sha256, "extra_text": extra}
    same = [what for what, sha256 in named.items() if sha256 and sha256 == sources.reported_sha256]
    if same:
        raise DataError(
            f"distil: {same[0]} is the file that is reported, and must not be learned from.",
            remedy="Use other texts, or report another split.",
        )


def _training(sources: Sources) -> Sequence[Example]:
    examples = sources.training()
    if not examples:
        raise UsageError("distil: there are no training examples.", remedy="Use data with a train split.")
    return examples


def _file(named: str) -> Path | None:
    if not named:
        return None
    path = Path(named).expanduser()
    if not path.is_file():
        raise DataError("there is no such file of extra text.", where=named)
    return path


def _sha256_of(examples: Sequence[Example]) -> str:
    total = hashlib.sha256()
    for example in examples:
        total.update(repr(example).encode())
    return total.hexdigest()
