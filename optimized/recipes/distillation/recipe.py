"""Knowledge distillation: a small student is trained to reproduce the answers of a fine-tuned teacher.

    training texts --teacher, once--> logits     train --hash of first text--> training part | held-out part
    student --trained on soft targets--> score of each epoch on the held-out part --> the best epoch is kept

As in FastFormers (Kim and Hassan Awadalla 2020) the loss is the soft cross-entropy with the teacher's logits,
optionally with a hidden-state loss. Unlike there, widths may differ, teacher and student use their own
tokenizers, interrupted training resumes, and the reported split selects nothing.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from baselines.models.families import is_described
from harness.common.errors import DataError, UnsupportedError, UsageError
from harness.systems.interface import Artifact, Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.base import RecipeOutput, output_of
from optimized.recipes.distillation.extra_text import ExtraFile, check_extra_texts, extra_files
from optimized.recipes.distillation.job import (
    DistillationJob,
    DistillationSettings,
    SoftTargets,
    TeacherTexts,
)
from optimized.recipes.distillation.student import check_activation, find_student
from optimized.recipes.distillation.teacher import TeacherAnswers, require_teacher
from optimized.recipes.resumable import find_or_resume

_TEACHERS = ("first", "previous", "last")


@dataclass(frozen=True, slots=True)
class Distil(DistillationSettings):
    """Knowledge distillation as a recipe."""

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        context: PreparationContext,
    ) -> RecipeOutput:
        """Train the student, or find it in the cache.

        UsageError for impossible parameters, CheckpointError for a teacher or student of another task,
        DataError for texts that cannot be read, MeasurementError if the loss diverges.
        """
        _check_parameters(self)
        teacher = _teacher_in(chain, self.teacher)
        require_teacher(task, teacher)
        student = find_student(self.student, self.hidden_act, task, chain, teacher, sources)
        length = self.max_length or settings.max_length
        job = DistillationJob(self, task, teacher, student, length, sources, context)
        artifact = _find_or_train(job)
        parent = replace(teacher, trained_on=sources.training_sha256 or teacher.trained_on)
        return output_of(artifact, student.checkpoint.name, parent)


def _find_or_train(job: DistillationJob) -> Artifact:
    _check_features(job)
    extra = extra_files(job.recipe.extra_text)
    _check_data(job.sources, extra)
    check_extra_texts(extra, job.task, job.sources)  # before the cache is asked: what is reported may differ
    training_sha256 = job.sources.training_sha256 or _sha256_of(_training_examples(job.sources))
    key = job.key(training_sha256, ",".join(file.sha256 for file in extra))
    return job.context.cache.find(key) or _train(job, key, training_sha256, extra)


def _train(job: DistillationJob, key: str, training_sha256: str, extra: Sequence[ExtraFile]) -> Artifact:
    from baselines.training import trainer
    from optimized.recipes.distillation.train import train

    device = job.context.placement.device
    trainer.require_device(device)
    check_activation(job.student)
    bf16 = trainer.uses_bf16(device) if job.recipe.bf16 is None else job.recipe.bf16
    texts = [TeacherTexts(_training_examples(job.sources), training_sha256)]
    texts += [TeacherTexts(file.read(job.task), file.sha256, extra=True) for file in extra]
    answers = TeacherAnswers(job.task, job.teacher, job.max_length, bf16, job.context)
    soft_targets = [SoftTargets(part, *answers.on(part.examples, part.sha256)) for part in texts]
    return find_or_resume(job.context, key, lambda session, folder: train(job, soft_targets, session, folder))


def _check_parameters(recipe: Distil) -> None:
    """Raise UsageError that names the first impossible parameter."""
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
        "patience": recipe.patience >= 0,
        "average": 0 <= recipe.average < 1,
        "quantization_aware": isinstance(recipe.quantization_aware, bool),
        "teacher": recipe.teacher in _TEACHERS,
        "student": bool(recipe.student),
    }
    impossible = [name for name, is_possible in possible.items() if not is_possible]
    if impossible:
        raise UsageError(
            f"distil: {impossible[0]} cannot be {getattr(recipe, impossible[0])!r}.",
            remedy="temperature, learning_rate, epochs and batch are above 0; hard_label is from 0 to 1; "
            "hidden, attention and patience are 0 or more; average is from 0 to below 1; teacher is first, "
            "previous or last.",
        )


def _teacher_in(chain: Sequence[Checkpoint], position: str) -> Checkpoint:
    if position == "previous" and len(chain) < 2:  # noqa: PLR2004 -- the last and the one before it
        raise UsageError(
            "distil: teacher is `previous`, and the chain has no checkpoint before its first.",
            remedy="Use teacher: first.",
        )
    return chain[{"first": 0, "previous": -2, "last": -1}[position]]


def _check_features(job: DistillationJob) -> None:
    """Refuse token-level losses for models with different tokenizers or with layers of unknown structure."""
    weighted = [name for name in ("hidden", "attention") if getattr(job.recipe, name)]
    folders = [job.teacher.folder, job.student.checkpoint.folder]
    families = {str(read_config(folder).get("model_type")) for folder in folders}
    needs = {"attention": 0, "quantization_aware": False}
    by_layer = [name for name in needs if getattr(job.recipe, name)]
    if by_layer and not all(is_described({"model_type": family}) for family in families):
        raise UnsupportedError(
            f"distil: {by_layer[0]} needs layers that are described; teacher and student are of the families "
            f"{' and '.join(sorted(families))}.",
            remedy=f"Set {by_layer[0]} to {str(needs[by_layer[0]]).lower()}.",
        )
    if weighted and len({file_sha256(folder / TOKENIZER) for folder in folders}) > 1:
        losses = " and ".join(weighted)
        raise UsageError(
            f"distil: {losses} compare token by token, and teacher {job.teacher.name} and student "
            f"{job.student.checkpoint.name} have different tokenizers.",
            remedy=f"Set {losses} to 0: the loss of logits needs no common tokenizer.",
        )


def _check_data(sources: PreparationSources, extra: Sequence[ExtraFile]) -> None:
    """Refuse to train on the reported file."""
    hashes = [("training split", sources.training_sha256), *(("extra_text", file.sha256) for file in extra)]
    reported = [name for name, sha256 in hashes if sha256 and sha256 == sources.reported_sha256]
    if reported:
        raise DataError(
            f"distil: {reported[0]} is the file that is reported, so the student must not be trained on it.",
            remedy="Use other texts, or report another split.",
        )


def _training_examples(sources: PreparationSources) -> Sequence[Example]:
    examples = sources.training()
    if not examples:
        raise UsageError("distil: there are no training examples.", remedy="Use data with a training split.")
    return examples


def _sha256_of(examples: Sequence[Example]) -> str:
    total = hashlib.sha256()
    for example in examples:
        total.update(repr(example).encode())
    return total.hexdigest()
