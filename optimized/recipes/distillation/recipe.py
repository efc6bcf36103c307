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
from dataclasses import dataclass, replace
from pathlib import Path

from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from harness.common.errors import CheckpointError, DataError, UsageError
from harness.systems.interface import Artifact, Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.base import RecipeOutput, made_from
from optimized.recipes.distillation.job import (
    KNOWN_FAMILIES,
    DistillationJob,
    DistillationSettings,
    TeacherTexts,
)
from optimized.recipes.distillation.student import check_activation, find_student
from optimized.recipes.distillation.teacher import TeacherAnswers, require_teacher
from optimized.recipes.resumable import find_or_resume


@dataclass(frozen=True, slots=True)
class Distil(DistillationSettings):
    """Knowledge distillation as a recipe."""

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        workshop: PreparationContext,
    ) -> RecipeOutput:
        """Train the student, or find it in the cache.

        UsageError for parameters that make no sense, CheckpointError for a teacher or a student of another
        task, DataError for texts that cannot be read, MeasurementError for a loss that is no number.
        """
        _check(self)
        teacher = _choose(chain, self.teacher)
        require_teacher(task, teacher)
        student = find_student(self.student, self.hidden_act, task, chain, teacher, sources)
        length = self.max_length or settings.max_length
        job = DistillationJob(self, task, teacher, student, length, sources, workshop)
        artifact = _find_or_train(job)
        learned = replace(teacher, trained_on=sources.training_sha256 or teacher.trained_on)
        return made_from(artifact, student.checkpoint.name, learned)


def _find_or_train(job: DistillationJob) -> Artifact:
    """Return the artifact that the key names, trained where it is not there."""
    _check_features(job)
    extra = _file(job.recipe.extra_text)
    extra_sha256 = file_sha256(extra) if extra else ""
    _check_data(job.sources, extra_sha256)
    data = job.sources.training_sha256 or _sha256_of(_training(job.sources))
    key = job.key(data, extra_sha256)
    return job.workshop.cache.find(key) or _train(job, key, data, extra)


def _train(job: DistillationJob, key: str, data: str, extra: Path | None) -> Artifact:
    from baselines.training import trainer
    from optimized.recipes.distillation.train import train

    device = job.workshop.placement.device
    trainer.require_device(device)
    check_activation(job.student)
    bf16 = trainer.uses_bf16(device) if job.recipe.bf16 is None else job.recipe.bf16
    texts = [TeacherTexts(_training(job.sources), data)]
    if extra:
        texts.append(TeacherTexts(job.task.read(extra, labelled=False), file_sha256(extra), extra=True))
    asked = TeacherAnswers(job.task, job.teacher, job.max_length, bf16, job.workshop)
    taught = [(text, asked.on(text.examples, text.sha256)) for text in texts]
    return find_or_resume(job.workshop, key, lambda session, folder: train(job, taught, session, folder))


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


def _check_features(job: DistillationJob) -> None:
    """Refuse token-level losses for two that tokenise differently, or whose layers are not known."""
    asked = [name for name in ("hidden", "attention") if getattr(job.recipe, name)]
    folders = [one.folder for one in (job.teacher, job.student.checkpoint)]
    families = {str(read_config(folder).get("model_type")) for folder in folders}
    if job.recipe.attention and not families <= set(KNOWN_FAMILIES):
        raise CheckpointError(
            f"the attention loss does not know the layers of {' and '.join(sorted(families))}.",
            remedy=f"Set attention to 0; it knows {', '.join(KNOWN_FAMILIES)}.",
        )
    if asked and len({file_sha256(folder / TOKENIZER) for folder in folders}) > 1:
        raise UsageError(
            f"distil: {' and '.join(asked)} compare token by token, and teacher "
            f"{job.teacher.name} and student {job.student.checkpoint.name} have different tokenizers.",
            remedy=f"Set {' and '.join(asked)} to 0: the logits alone need no common tokenizer.",
        )


def _check_data(sources: PreparationSources, extra: str) -> None:
    """Refuse to learn from the texts that are reported."""
    named = {"training split": sources.training_sha256, "extra_text": extra}
    same = [what for what, sha256 in named.items() if sha256 and sha256 == sources.reported_sha256]
    if same:
        raise DataError(
            f"distil: {same[0]} is the file that is reported, and must not be learned from.",
            remedy="Use other texts, or report another split.",
        )


def _training(sources: PreparationSources) -> Sequence[Example]:
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
