"""Who teaches, and what it says of each text: logits that are computed once and kept.

The teacher reads the text with its own tokenizer; what crosses to the student is numbers by label, in the
task's order, so the two need not tokenise alike. One artifact holds the logits of one file of texts:
every student, seed and temperature after the first finds it.
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
# between two files of an unfinished pass: BERT-base does 85 million multiplications a token, so that one slow
# core (20 GFLOP/s) needs about ten minutes
_PART_TOKENS = 65_536
_BATCH = 16
_LIBRARIES = ("torch", "transformers", "tokenizers")
_SAID = ("training.json", MANIFEST)  # what training and recipes write beside the weights

Answer = Callable[[Sequence[Request]], Predictions]


def require_teacher(task: Task, teacher: Checkpoint) -> None:
    """Refuse a teacher that cannot teach this task; CheckpointError says why, and what would."""
    remedy = f"Fine-tune it first: `bench train --task {task.model_task}`."
    if not teacher.trained:
        raise CheckpointError(
            "an untrained model cannot teach: its answers mean nothing.", where=teacher.name, remedy=remedy
        )
    require_head(teacher.folder, task)
    learned = trained_for(teacher.folder)
    if learned and learned != task.model_task:
        raise CheckpointError(
            f"the teacher was trained for {learned}, not for {task.model_task}.",
            where=teacher.name,
            remedy=remedy,
        )


def trained_for(folder: Path) -> str:
    """Return the task that a folder of ours was trained for; nothing where that is not written."""
    for name in _SAID:
        if (folder / name).is_file():
            said = json.loads((folder / name).read_text(encoding="utf-8"))
            return str(said.get("task", "")) if isinstance(said, dict) else ""
    return ""


@dataclass(frozen=True, slots=True)
class TeacherAnswers:
    """A teacher for one task, and how it reads: the maximum length, and its precision."""

    task: Task
    teacher: Checkpoint
    max_length: int
    bf16: bool
    workshop: PreparationContext

    def on(self, examples: Sequence[Example], data: str) -> tuple[Predictions, Artifact]:
        """Return the teacher's logits of all examples, in their order, and the artifact they lie in.

        `data` is the sha256 that names the examples. A pass that was cut off goes on where it was.
        CheckpointError for answers that are no numbers.
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
            found = _answer(session, requests, self._answering(encoder))
            if not np.isfinite(found.logits).all():
                raise CheckpointError("the teacher's answers are no numbers.", where=self.teacher.name)
            np.save(folder / _LOGITS, found.logits, allow_pickle=False)
            np.save(folder / _OFFSETS, found.offsets, allow_pickle=False)
            return {
                **self._words(),
                "data_sha256": data,
                "examples": len(examples),
                "cut_tokens": _cut(requests),
            }

        artifact = find_or_resume(self.workshop, key, make)
        arrays = [np.load(artifact.folder / name, allow_pickle=False) for name in (_LOGITS, _OFFSETS)]
        return Predictions(*arrays), artifact

    def _words(self) -> dict[str, Any]:
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

    def _answering(self, encoder: TextEncoder) -> Answer:
        """Return what answers requests with the teacher, columns in the task's order of labels."""
        from baselines.models.classifier import load_classifier
        from baselines.training.trainer import answering

        folder = self.teacher.folder
        run = answering(load_classifier(folder).to(self.workshop.placement.device), bf16=self.bf16)
        columns = label_columns(read_config(folder), self.task, self.teacher.name)
        batching = Batching(_BATCH, encoder.pad_id, columns)
        return lambda requests: batching.answer(requests, run)


def _answer(session: TrainingSession, requests: Sequence[Request], answer: Answer) -> Predictions:
    """Answer all requests, longest first, a file for each part of them in the working folder."""
    rows: dict[int, Logits] = {}
    done, tokens = 0, sum(request.tokens for request in requests)
    for number, part in enumerate(_parts(requests)):
        mine = [requests[at] for at in part]
        logits = _said(session.folder / f"part-{number}.npy", mine, answer)
        rows.update(zip(part, np.split(logits, offsets_of(mine)[1:-1]), strict=True))
        done += sum(request.tokens for request in mine)
        session.tell("teacher", done / tokens)
    ordered = [rows[at] for at in range(len(requests))]
    return Predictions(np.concatenate(ordered), offsets_of(requests))


def _parts(requests: Sequence[Request]) -> Iterator[list[int]]:
    """Yield the places of requests, longest first, as many at a time as make a part."""
    # batches of like length waste little, and memory peaks at once if at all
    part: list[int] = []
    tokens = 0
    for at in sorted(range(len(requests)), key=lambda at: -requests[at].tokens):
        part.append(at)
        tokens += requests[at].tokens
        if tokens >= _PART_TOKENS:
            yield part
            part, tokens = [], 0
    if part:
        yield part


def _said(path: Path, requests: Sequence[Request], answer: Answer) -> Logits:
    """Return the logits of a part, from its file where that is there already."""
    if not path.is_file():
        whole = path.with_suffix(".unfinished.npy")
        np.save(whole, answer(requests).logits, allow_pickle=False)
        whole.replace(path)
    found: Logits = np.load(path, allow_pickle=False)
    return found


def _cut(requests: Sequence[Request]) -> int:
    return sum(sequence.cut for sequence in sequences_of(requests))
