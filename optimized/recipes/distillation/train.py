"""The part of distillation that needs torch: training items, training, the checkpoint and the manifest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import load_classifier
from baselines.training import trainer
from baselines.training.datasets import (
    RECORD,
    SPLIT_SEED,
    EncodedExamples,
    label_names,
    split_for_selection,
)
from baselines.training.finetune import copy_tokenizer
from harness.workload.tasks.example import Example, Logits
from harness.workload.tasks.metrics import Scoring
from optimized.recipes.distillation.features import record_features, remove_projections
from optimized.recipes.distillation.imitation import (
    DistillationItem,
    Imitation,
    distillation_items,
    logits_by_request,
)
from optimized.recipes.distillation.job import VERSION, DistillationJob, SoftTargets
from optimized.recipes.distillation.student import build
from optimized.recipes.resumable import TrainingSession

if TYPE_CHECKING:
    from torch.nn import Module


def train(
    job: DistillationJob, soft_targets: Sequence[SoftTargets], session: TrainingSession, folder: Path
) -> dict[str, Any]:
    """Train the student into `folder`; return the manifest.

    The first of `soft_targets` is of the training split. The session's folder keeps an unfinished training.
    """
    first = soft_targets[0]
    kept, held_out = split_for_selection(first.texts.examples, SPLIT_SEED)
    encoder = job.encoders()[1]
    encoded_held_out = EncodedExamples(held_out, encoder.encode(held_out))
    names = label_names(job.task, job.student.checkpoint)
    columns = [names.index(label) for label in job.task.labels]
    items = _training_items(job, soft_targets, kept, held_out, encoder, columns)
    model = build(job.student, job.task, session.folder, job.recipe.seed)
    training = trainer.TrainingJob(
        task=job.task,
        columns=columns,
        folder=session.folder,
        tuning=job.tuning,
        device=job.context.placement.device,
        pad_id=encoder.pad_id,
        progress=lambda progress: session.report("distil", progress.fraction, progress.seconds_left),
        clock=session.clock,
        objective=_objective(job, model),
        keep_best=job.recipe.keep_best,
    )
    outcome = trainer.run(training, model, items, encoded_held_out, encoded_held_out)
    _save(job, model, folder)
    teacher_scores = _teacher_scores(job, held_out, _logits_by_example(first))
    return {
        **_settings_facts(job, names, soft_targets),
        "examples": {
            "trained_on": len(kept),
            "held_out": len(held_out),
            "extra": sum(len(part.texts.examples) for part in soft_targets if part.texts.extra),
        },
        "cut_tokens": sum(sequence.cut for item in items for sequence in item.sequences),
        **_outcome_facts(job.task.scoring, outcome, len(held_out), teacher_scores),
    }


def _training_items(
    job: DistillationJob,
    soft_targets: Sequence[SoftTargets],
    kept: Sequence[Example],
    held_out: Sequence[Example],
    encoder: TextEncoder,
    columns: Sequence[int],
) -> list[DistillationItem]:
    """Return the items of the training part, then those of extra texts that are not held out."""
    items: list[DistillationItem] = []
    held_out_texts = {example.inputs[0].first for example in held_out}
    for part in soft_targets:
        extra, rows = part.texts.extra, _logits_by_example(part)
        examples = kept
        if extra:
            examples = [
                example for example in part.texts.examples if example.inputs[0].first not in held_out_texts
            ]
        encoded = EncodedExamples(examples, encoder.encode(examples))
        logits = [rows[example] for example in examples]
        items += distillation_items(job.task, columns, encoded, logits, labelled=not extra)
    return items


def _logits_by_example(part: SoftTargets) -> dict[Example, Logits]:
    return dict(zip(part.texts.examples, logits_by_request(part.predictions), strict=True))


def _objective(job: DistillationJob, model: "Module") -> Imitation:
    recipe, features = job.recipe, None
    if recipe.hidden or recipe.attention:
        device = job.context.placement.device
        features = record_features(
            model.to(device),
            load_classifier(job.teacher.folder).to(device),
            job.encoders()[0].pad_id,
            hidden=recipe.hidden,
            attention=recipe.attention,
        )
    return Imitation(
        job.task.head, recipe.temperature, recipe.hard_label, features, recipe.quantization_aware
    )


def _save(job: DistillationJob, model: "Module", folder: Path) -> None:
    """Write the checkpoint as `bench train` does, so that the folder is a checkpoint by itself."""
    remove_projections(model)
    trainer.save(model, folder)
    copy_tokenizer(job.student.checkpoint.folder, folder)
    record = {
        "recipe": job.recipe.kind,
        "task": job.task.model_task,
        "trained": True,
        "data_fingerprint": job.sources.training_sha256,
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _settings_facts(
    job: DistillationJob, names: Sequence[str], soft_targets: Sequence[SoftTargets]
) -> dict[str, Any]:
    """Return the manifest's fields on parameters and inputs: names and hashes, never a path."""
    parameters = {**asdict(job.recipe), "max_length": job.max_length}
    parameters["student"] = job.student.checkpoint.name
    parameters["layers"] = list(job.student.layers)
    del parameters["extra_text"]
    return {
        "recipe": job.recipe.kind,
        "version": VERSION,
        "task": job.task.model_task,
        "labels": list(names),
        "parents": [*job.parents, *(part.artifact.key for part in soft_targets)],
        "teacher": job.teacher.name,
        "student": job.student.checkpoint.name,
        "parameters": parameters,
        "data_fingerprint": job.sources.training_sha256,
        "data_sha256": [part.texts.sha256 for part in soft_targets],
        "teacher_logits": [
            {name: part.artifact.manifest[name] for name in ("key", "seconds", "energy", "precision")}
            for part in soft_targets
        ],
    }


def _outcome_facts(
    scoring: Scoring, outcome: Mapping[str, Any], held_out: int, teacher_scores: Mapping[str, float]
) -> dict[str, Any]:
    """Return the trainer's facts with all scores on the held-out part gathered in `selection`."""
    facts = dict(outcome)
    per_epoch, student_scores = facts.pop("selection"), facts.pop("val")
    selection = {
        "examples": held_out,
        "split_seed": SPLIT_SEED,
        "score": scoring.single(student_scores),
        "metrics": student_scores,
        "teacher_score": scoring.single(teacher_scores),
        "teacher_metrics": dict(teacher_scores),
        "per_epoch": per_epoch,
    }
    return {**facts, "selection": selection}


def _teacher_scores(
    job: DistillationJob, held_out: Sequence[Example], rows: Mapping[Example, Logits]
) -> dict[str, float]:
    """Return the teacher's official metrics on the held-out part."""
    logits = [rows[example] for example in held_out]
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in logits]))).astype(np.int64)
    return job.task.scoring(held_out, job.task.decide(np.concatenate(logits), offsets))
