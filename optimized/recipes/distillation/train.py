"""The part of distillation that needs torch: from what the teacher said to lessons, trainer and manifest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import load_classifier
from baselines.training import trainer
from baselines.training.datasets import (
    RECORD,
    SPLIT_SEED,
    EncodedExamples,
    TrainingProgress,
    label_names,
    split_for_selection,
)
from baselines.training.finetune import copy_tokenizer
from harness.systems.interface import Artifact, Predictions
from harness.workload.tasks.example import Example, Logits
from harness.workload.tasks.metrics import mean_score
from optimized.recipes.distillation import features
from optimized.recipes.distillation.imitation import DistillationItem, Imitation, rows_of, soft_lessons
from optimized.recipes.distillation.job import VERSION, DistillationJob, TeacherTexts
from optimized.recipes.distillation.student import build
from optimized.recipes.resumable import TrainingSession

Taught = Sequence[tuple[TeacherTexts, tuple[Predictions, Artifact]]]
"""Texts with what the teacher said of them, and where that lies."""


def train(job: DistillationJob, taught: Taught, session: TrainingSession, folder: Path) -> dict[str, Any]:
    """Train the student into `folder` and return the manifest; what is interrupted lies in the session's."""
    text, (said, _) = taught[0]
    kept, held_out = split_for_selection(text.examples, SPLIT_SEED)
    encoder = job.encoders()[1]
    asked = EncodedExamples(held_out, encoder.encode(held_out))
    names = label_names(job.task, job.student.checkpoint)
    columns = [names.index(label) for label in job.task.labels]
    lessons = _lessons(job, taught, kept, held_out, encoder, columns)
    model = build(job.student, job.task, session.folder, job.recipe.seed)
    training = trainer.TrainingJob(
        task=job.task,
        columns=columns,
        folder=session.folder,
        tuning=job.tuning,
        device=job.workshop.placement.device,
        pad_id=encoder.pad_id,
        progress=lambda tick: _tell(session, tick),
        clock=session.clock,
        objective=_objective(job, model),
        keep_best=job.recipe.keep_best,
    )
    facts = trainer.run(training, model, lessons, asked, asked)
    _save(job, model, folder)
    rows = dict(zip(text.examples, rows_of(said), strict=True))
    return {
        **_words(job, names, taught),
        "examples": {
            "trained_on": len(kept),
            "held_out": len(held_out),
            "extra": sum(len(text.examples) for text, _ in taught if text.extra),
        },
        "cut_tokens": sum(sequence.cut for lesson in lessons for sequence in lesson.sequences),
        **_facts(facts, len(held_out), _teacher_scores(job, held_out, rows)),
    }


def _lessons(
    job: DistillationJob,
    taught: Taught,
    kept: Sequence[Example],
    held_out: Sequence[Example],
    encoder: TextEncoder,
    columns: Sequence[int],
) -> list[DistillationItem]:
    """Return the lessons of what is trained on, then those of extra texts."""
    lessons: list[DistillationItem] = []
    secret = {example.inputs[0].first for example in held_out}
    for text, (said, _) in taught:
        rows = dict(zip(text.examples, rows_of(said), strict=True))
        chosen = [one for one in text.examples if one.inputs[0].first not in secret] if text.extra else kept
        asked = EncodedExamples(chosen, encoder.encode(chosen))
        said_of = [rows[example] for example in chosen]
        lessons += soft_lessons(job.task, columns, asked, said_of, labelled=not text.extra)
    return lessons


def _objective(job: DistillationJob, model: Any) -> Imitation:  # noqa: ANN401 -- transformers has no types
    recipe, inside = job.recipe, None
    if recipe.hidden or recipe.attention:
        device = job.workshop.placement.device
        inside = features.watch(
            model.to(device),
            load_classifier(job.teacher.folder).to(device),
            job.encoders()[0].pad_id,
            hidden=recipe.hidden,
            attention=recipe.attention,
        )
    return Imitation(job.task.head, recipe.temperature, recipe.hard_label, inside)


def _tell(session: TrainingSession, tick: TrainingProgress) -> None:
    session.tell("distil", tick.fraction, tick.seconds_left)


def _save(job: DistillationJob, model: Any, folder: Path) -> None:  # noqa: ANN401 -- transformers has no types
    """Write the checkpoint as `bench train` does, so that the folder can be used as one."""
    features.forget(model)
    trainer.save(model, folder)
    copy_tokenizer(job.student.checkpoint.folder, folder)
    said = {
        "recipe": job.recipe.kind,
        "task": job.task.model_task,
        "trained": True,
        "data_fingerprint": job.sources.training_sha256,
    }
    (folder / RECORD).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _words(job: DistillationJob, names: Sequence[str], taught: Taught) -> dict[str, Any]:
    """Return what the manifest says of what was asked: names and hashes, and no path."""
    parameters = {**asdict(job.recipe), "max_length": job.max_length}
    parameters["student"] = job.student.checkpoint.name
    parameters["layers"] = list(job.student.layers)
    del parameters["extra_text"]
    return {
        "recipe": job.recipe.kind,
        "version": VERSION,
        "task": job.task.model_task,
        "labels": list(names),
        "parents": [*job.parents, *(artifact.key for _, (_, artifact) in taught)],
        "teacher": job.teacher.name,
        "student": job.student.checkpoint.name,
        "parameters": parameters,
        "data_fingerprint": job.sources.training_sha256,
        "data_sha256": [text.sha256 for text, _ in taught],
        "teacher_logits": [
            {name: artifact.manifest[name] for name in ("key", "seconds", "energy", "precision")}
            for _, (_, artifact) in taught
        ],
    }


def _facts(facts: Mapping[str, Any], held_out: int, teacher: Mapping[str, float]) -> dict[str, Any]:
    """Return what training found, the quality on what is held out in one place."""
    found = dict(facts)
    per_epoch, student = found.pop("selection"), found.pop("val")
    selection = {
        "examples": held_out,
        "split_seed": SPLIT_SEED,
        "score": mean_score(student),
        "metrics": student,
        "teacher_score": mean_score(teacher),
        "teacher_metrics": dict(teacher),
        "per_epoch": per_epoch,
    }
    return {**found, "selection": selection}


def _teacher_scores(
    job: DistillationJob, held_out: Sequence[Example], rows: Mapping[Example, Logits]
) -> dict[str, float]:
    """Return the teacher's official metrics on what is held out."""
    import numpy as np

    found = [rows[example] for example in held_out]
    offsets = np.concatenate(([0], np.cumsum([len(each) for each in found]))).astype(np.int64)
    return job.task.scoring(held_out, job.task.decide(np.concatenate(found), offsets))
