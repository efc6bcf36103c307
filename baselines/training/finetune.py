"""Fine-tuning an encoder for a task, by transformers' Trainer and with FastFormers' settings.

    train --hash of the first text--> trained on | held out --score per epoch--> the best epoch is kept
    val ------------------------------------------------------------------> scored once, at the end

The split that is reported never chooses anything. Work in progress lies in `<output>.part`; a run that was
cut off, even by kill -9, goes on from its last checkpoint with the same batches in the same order, and the
output folder appears only when it is complete.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from baselines.encoding.tokenizer import TextEncoder
from baselines.training.datasets import (
    RECORD,
    EncodedExamples,
    TrainingProgress,
    TrainingSettings,
    label_names,
    split_for_selection,
    training_items,
)
from harness.common.errors import UsageError
from harness.systems.interface import Checkpoint
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

PLAN = "plan.json"
_TEXT_SIDE = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def finetune(
    task: Task,
    train: Sequence[Example],
    val: Sequence[Example],
    model: Checkpoint,
    output: Path,
    *,
    tuning: TrainingSettings | None = None,
    device: str = "cpu",
    data_fingerprint: str = "",
    progress: Callable[[TrainingProgress], None] = lambda _: None,
    energy: Callable[[], Any] | None = None,
    resume: bool = True,
    at_most_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Fine-tune `model` into the folder `output` and return what `training.json` there says.

    `val` is scored once with the kept epoch; it may be empty. `energy` is called once at the end for a
    reading of this session, which is recorded beside the steps it covers. After `at_most_s` seconds of it
    training ends with what was learned; the record has the steps that were planned beside those made.
    MeasurementError if the loss stops being a number, CheckpointError, UsageError or DeviceError for what
    cannot be trained.
    """
    from baselines.training import trainer
    from baselines.training.objective import LabelObjective

    trainer.require_device(device)
    tuning = tuning or TrainingSettings()
    part = _prepare_part(output, _plan(task, train, model, tuning, data_fingerprint), resume=resume)
    names = label_names(task, model)
    columns = [names.index(label) for label in task.labels]
    encoder = TextEncoder(model.folder, tuning.max_length)
    kept, held_out = split_for_selection(train, tuning.seed)
    how: dict[str, Any] = {
        "tuning": tuning,
        "device": device,
        "progress": progress,
        "clock": clock,
        "at_most_s": at_most_s,
    }
    what: dict[str, Any] = {"task": task, "columns": columns, "pad_id": encoder.pad_id}
    job = trainer.TrainingJob(**what, **how, folder=part, objective=LabelObjective(task.head))
    taught = EncodedExamples(kept, encoder.encode(kept))
    classifier = trainer.new_classifier(model.folder, names, head=task.head, seed=tuning.seed)
    started = clock()
    facts = trainer.run(
        job, classifier, training_items(task, columns, taught), *_asked(encoder, held_out, val)
    )
    trainer.save(classifier, part / "final")
    record = {
        **json.loads((part / PLAN).read_text(encoding="utf-8")),
        "labels": names,
        "examples": {"trained_on": len(kept), "held_out": len(held_out), "val": len(val)},
        "cut_tokens": sum(part.cut for request in taught.requests for part in request.sequences),
        "trained": tuning.epochs > 0,
        **facts,
        "seconds": round(clock() - started, 3),
        "energy": energy() if energy else "unavailable, because nobody measured it",
    }
    _publish(part, output, model.folder, record)
    return record


def _asked(encoder: TextEncoder, *parts: Sequence[Example]) -> list[EncodedExamples]:
    return [EncodedExamples(part, encoder.encode(part)) for part in parts]


def _plan(
    task: Task, train: Sequence[Example], model: Checkpoint, tuning: TrainingSettings, data: str
) -> dict[str, Any]:
    return {
        "recipe": "finetune",
        "version": 1,
        "task": task.name,
        "labels": list(task.labels),
        "parents": [model.fingerprint],
        "parent_name": model.name,
        "data_fingerprint": data,
        "train_sha256": hashlib.sha256(repr(list(train)).encode()).hexdigest(),
        "tuning": asdict(tuning),
    }


def _prepare_part(output: Path, plan: Mapping[str, Any], *, resume: bool) -> Path:
    """Return the working folder, emptied unless it holds the same training and may be resumed."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError("the output is there already.", where=str(output), remedy="Name a new folder.")
    part = output.with_name(output.name + ".part")
    if part.exists() and not resume:
        shutil.rmtree(part)
    written = part / PLAN
    if written.exists() and json.loads(written.read_text(encoding="utf-8")) != plan:
        raise UsageError(
            "another training was interrupted there: its settings, data or model differ.",
            where=str(part),
            remedy="Repeat its settings to go on, or start afresh without resuming.",
        )
    part.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
    return part


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the files of the tokenizer that are there."""
    for name in _TEXT_SIDE:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _publish(part: Path, output: Path, source: Path, record: Mapping[str, Any]) -> None:
    """Complete the trained folder with tokenizer and record, and rename it to the output."""
    final = part / "final"
    copy_tokenizer(source, final)
    (final / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    final.rename(output)
    shutil.rmtree(part)
