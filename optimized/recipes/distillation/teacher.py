"""The teacher and its logits, which are computed once for each file of texts and cached.

The teacher reads the texts with its own tokenizer. Only logits are passed to the student, by label in the
task's order, so the two tokenizers may differ. One artifact holds the logits of one file of texts; every
further student, seed and temperature finds it in the cache.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.artifacts import MANIFEST, cache_key, library_versions
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns, require_head
from baselines.encoding.batching import Batching
from baselines.encoding.tokenizer import TextEncoder
from harness.common.errors import CheckpointError
from harness.systems.interface import (
    Artifact,
    Checkpoint,
    Predictions,
    PreparationContext,
    Request,
    offsets_of,
    sequences_of,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.recipes.resumable import TrainingSession, find_or_resume

RECIPE = "teacher-logits"
_VERSION = 1
_LOGITS, _OFFSETS = "logits.npy", "offsets.npy"
# tokens in each file of an unfinished pass: BERT-base does 85 million multiplications a token, so one slow
# core (20 GFLOP/s) needs about ten minutes
_PART_TOKENS = 65_536
_BATCH = 16
_LIBRARIES = ("torch", "transformers", "tokenizers")
_DESCRIPTIONS = ("training.json", MANIFEST)  # files that training and recipes write beside the weights

Answer = Callable[[Sequence[Request]], Predictions]


def require_teacher(task: Task, teacher: Checkpoint) -> None:
    """Raise CheckpointError unless the teacher was fine-tuned for this task."""
    remedy = f"Fine-tune it first: `bench train --task {task.model_task}`."
    if not teacher.trained:
        raise CheckpointError(
            "the teacher must be fine-tuned; its head has random weights.", where=teacher.name, remedy=remedy
        )
    require_head(teacher.folder, task)
    trained_task = trained_task_of(teacher.folder)
    if trained_task and trained_task != task.model_task:
        raise CheckpointError(
            f"the teacher was trained for {trained_task}, not for {task.model_task}.",
            where=teacher.name,
            remedy=remedy,
        )


def trained_task_of(folder: Path) -> str:
    """Return the task in the description that `bench` wrote beside the weights; empty if there is none.

    CheckpointError for a description that is not JSON.
    """
    for name in _DESCRIPTIONS:
        if (folder / name).is_file():
            description = _description(folder / name)
            return str(description.get("task", "")) if isinstance(description, dict) else ""
    return ""


def _description(path: Path) -> Any:  # noqa: ANN401 -- JSON
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CheckpointError(
            f"{path.name} cannot be read ({problem}), so the teacher's task is unknown.",
            where=path.parent.name,
            remedy="Copy the checkpoint again, or remove the file if another program wrote it.",
        ) from None


@dataclass(frozen=True, slots=True)
class TeacherAnswers:
    """A teacher for one task, with its maximum length and precision."""

    task: Task
    teacher: Checkpoint
    max_length: int
    bf16: bool
    context: PreparationContext

    def on(self, examples: Sequence[Example], data: str) -> tuple[Predictions, Artifact]:
        """Return the teacher's logits of all examples, in their order, and the artifact that holds them.

        `data` is the sha256 of the examples. An interrupted pass resumes. CheckpointError for logits that
        are not finite.
        """
        encoder = TextEncoder(self.teacher.folder, self.max_length)
        key = cache_key(
            RECIPE,
            _VERSION,
            self.task,
            [self.teacher.fingerprint],
            data=data,
            encoding=encoder.encoding,
            bf16=self.bf16,
            libraries=library_versions(*_LIBRARIES),
        )

        def make(session: TrainingSession, folder: Path) -> dict[str, Any]:
            requests = encoder.encode(examples)
            predictions = _predict(session, requests, self._answer(encoder))
            if not np.isfinite(predictions.logits).all():
                raise CheckpointError(
                    "the teacher's logits are not finite numbers.",
                    where=self.teacher.name,
                    remedy="Fine-tune the teacher again, with a lower learning rate.",
                )
            np.save(folder / _LOGITS, predictions.logits, allow_pickle=False)
            np.save(folder / _OFFSETS, predictions.offsets, allow_pickle=False)
            return {
                **self._manifest(),
                "data_sha256": data,
                "examples": len(examples),
                "cut_tokens": sum(sequence.cut for sequence in sequences_of(requests)),
            }

        artifact = find_or_resume(self.context, key, make)
        arrays = [np.load(artifact.folder / name, allow_pickle=False) for name in (_LOGITS, _OFFSETS)]
        return Predictions(*arrays), artifact

    def _manifest(self) -> dict[str, Any]:
        return {
            "recipe": RECIPE,
            "version": _VERSION,
            "task": self.task.model_task,
            "labels": list(self.task.labels),
            "parents": [self.teacher.fingerprint],
            "teacher": self.teacher.name,
            "max_length": self.max_length,
            "precision": "bfloat16 autocast" if self.bf16 else "float32",
            "libraries": library_versions(*_LIBRARIES),
        }

    def _answer(self, encoder: TextEncoder) -> Answer:
        """Return the function that runs the teacher on requests; columns in the task's order of labels."""
        from baselines.models.classifier import load_classifier
        from baselines.training.trainer import answering

        folder = self.teacher.folder
        run = answering(load_classifier(folder).to(self.context.placement.device), bf16=self.bf16)
        columns = label_columns(read_config(folder), self.task, self.teacher.name)
        batching = Batching(_BATCH, encoder.pad_id, columns)
        return lambda requests: batching.answer(requests, run)


def _predict(session: TrainingSession, requests: Sequence[Request], answer: Answer) -> Predictions:
    """Answer all requests, longest first, in parts that are each saved in the working folder."""
    rows: dict[int, Logits] = {}
    done, tokens = 0, sum(request.tokens for request in requests)
    for number, indices in enumerate(_parts(requests)):
        part = [requests[index] for index in indices]
        logits = _load_or_compute(session.folder / f"part-{number}.npy", part, answer)
        rows.update(zip(indices, np.split(logits, offsets_of(part)[1:-1]), strict=True))
        done += sum(request.tokens for request in part)
        session.report("teacher", done / tokens)
    ordered = [rows[index] for index in range(len(requests))]
    return Predictions(np.concatenate(ordered), offsets_of(requests))


def _parts(requests: Sequence[Request]) -> Iterator[list[int]]:
    """Yield the indices of requests, longest first, in parts of about `_PART_TOKENS` tokens."""
    # batches of similar length need little padding, and memory peaks at the beginning
    part: list[int] = []
    tokens = 0
    for index in sorted(range(len(requests)), key=lambda index: -requests[index].tokens):
        part.append(index)
        tokens += requests[index].tokens
        if tokens >= _PART_TOKENS:
            yield part
            part, tokens = [], 0
    if part:
        yield part


def _load_or_compute(path: Path, requests: Sequence[Request], answer: Answer) -> Logits:
    if not path.is_file():
        unfinished = path.with_suffix(".unfinished.npy")
        np.save(unfinished, answer(requests).logits, allow_pickle=False)
        unfinished.replace(path)
    logits: Logits = np.load(path, allow_pickle=False)
    return logits
