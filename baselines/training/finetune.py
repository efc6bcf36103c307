"""Fine-tuning of an encoder for a task, with transformers' Trainer and FastFormers' hyperparameters.

    train --hash of the first text--> trained on | held out --score per epoch--> the best epoch is kept
    val ------------------------------------------------------------------> scored once, at the end

The reported split never selects anything. Work in progress is in `<output>.part`. A training that was
interrupted, even by kill -9, resumes from its last checkpoint with the same batches in the same order. The
output folder appears only when it is complete.
"""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import UNMETERED
from baselines.checkpoints.folder import tensor_names, tokenizer_files, weight_files
from baselines.checkpoints.labels import has_head
from baselines.encoding.tokenizer import TextEncoder
from baselines.training.datasets import (
    RECORD,
    EncodedExamples,
    TrainingProgress,
    TrainingSettings,
    first_share,
    label_names,
    split_for_selection,
    training_items,
)
from baselines.training.layers import reinitialise, require_layers
from harness.common.errors import UsageError
from harness.systems.interface import Checkpoint
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

PLAN = "plan.json"
"""The file in the folder of work in progress that identifies the training."""

_LOCK = "lock"


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
    first_training: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fine-tune `model` into the folder `output` and return the content of its `training.json`.

    A head with other labels than the task's is transferred by name where every label has a counterpart.
    `first_training` describes the intermediate training of `model` and is recorded.
    `val` is scored once with the kept epoch; it may be empty. `energy` is called once at the end and returns
    the energy of this session, which is recorded with the steps that it covers. After `at_most_s` seconds the
    session ends with the weights it has; the record holds the planned steps and those made.
    MeasurementError if the loss becomes NaN or infinite; CheckpointError, UsageError or DeviceError for a
    model, data or device that cannot be used.
    """
    from baselines.training import trainer
    from baselines.training.consistency import training_objective

    trainer.require_device(device)
    tuning = tuning or TrainingSettings()
    require_layers(tuning, model)
    plan = _plan(task, train, model, tuning, data_fingerprint)
    part = _find_part(output, plan, resume=resume)
    names = label_names(task, model)
    columns = [names.index(label) for label in task.labels]
    encoder = TextEncoder(model.folder, tuning.max_length)
    kept, held_out = _split(train, tuning)
    job = trainer.TrainingJob(
        task, columns, part, tuning, device, encoder.pad_id, progress, clock,
        objective=training_objective(task, tuning.r_drop), at_most_s=at_most_s,
    )  # fmt: skip
    encoded = _encode(encoder, kept)
    classifier, head = _begin(task, model.folder, names, tuning)
    _require_batches(classifier, encoded, encoder.pad_id, model.name)
    with _claimed(part, plan):  # not before: a refused model leaves nothing behind
        started = clock()
        items = training_items(task, columns, encoded)
        facts = trainer.run(job, classifier, items, _encode(encoder, held_out), _encode(encoder, val))
        trainer.save(classifier, part / "final")
        record = {
            **_planned(part, names, {"trained_on": kept, "held_out": held_out, "val": val}),
            **_outcome(encoded, tuning, facts),
            **_beginning(head, first_training),
            "seconds": round(clock() - started, 3),
            "energy": energy() if energy else UNMETERED,
        }
        _publish(part, output, model.folder, record)
        return record


def _split(train: Sequence[Example], tuning: TrainingSettings) -> tuple[list[Example], list[Example]]:
    """Return the examples to train on and those that are held out."""
    kept, held_out = split_for_selection(train, tuning.selection_seed)
    return first_share(kept, tuning.train_share), held_out


def _begin(task: Task, folder: Path, names: Sequence[str], tuning: TrainingSettings) -> tuple[Any, Any]:
    """Return the classifier as training begins, and what its head begins as, for the record."""
    from baselines.training import trainer

    classifier = trainer.new_classifier(folder, names, head=task.head, seed=tuning.seed)
    reinitialise(classifier, tuning.reinit_layers)
    return classifier, _begin_head(task, classifier, folder, names)


def _require_batches(classifier: Any, encoded: "EncodedExamples", pad_id: int, name: str) -> None:  # noqa: ANN401 -- torch
    from baselines.models.checks.comparison import require_batches

    sequences = [sequence for request in encoded.requests[:2] for sequence in request.sequences]
    require_batches(classifier, sequences, pad_id, name)


def _begin_head(task: Task, classifier: Any, folder: Path, names: Sequence[str]) -> Any:  # noqa: ANN401 -- torch
    """Transfer the checkpoint's head by label names; return what the head begins as, for the record."""
    from baselines.training.label_transfer import find_transfer, reset_head, transfer_head

    if not has_head(name for path in weight_files(folder) for name in tensor_names(path)):
        return "random"
    if task.head not in ("sequence", "multi_label"):
        return "the checkpoint's, where it has the shape"
    transfer = find_transfer(folder, names)
    if transfer is None:
        reset_head(classifier)
        return "random, because its labels have no counterparts in the checkpoint's head"
    if not transfer.identical:
        transfer_head(classifier, folder, transfer)
    return transfer.names


@contextmanager
def _claimed(part: Path, plan: Mapping[str, Any]) -> Iterator[None]:
    """Lock the folder of work in progress, and write the plan; UsageError if another process trains in it."""
    part.mkdir(parents=True, exist_ok=True)
    with (part / _LOCK).open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            remedy = "Wait for it, or give a new folder."
            raise UsageError("another training works in it.", where=str(part), remedy=remedy) from None
        written = part / f"{PLAN}.new"
        written.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
        written.replace(part / PLAN)  # at once, so that a crash leaves no half of it
        yield


def _beginning(head: Any, first_training: Mapping[str, Any] | None) -> dict[str, Any]:  # noqa: ANN401 -- JSON
    """Return the record's fields about what the training began with."""
    return {"head_from": head, **({"first": first_training} if first_training else {})}


def _planned(part: Path, names: Sequence[str], parts: Mapping[str, Sequence[Example]]) -> dict[str, Any]:
    """Return the plan of the work in progress, with the labels and the sizes of the parts of the data."""
    plan = json.loads((part / PLAN).read_text(encoding="utf-8"))
    return {**plan, "labels": list(names), "examples": {name: len(rows) for name, rows in parts.items()}}


def _outcome(encoded: EncodedExamples, tuning: TrainingSettings, facts: Mapping[str, Any]) -> dict[str, Any]:
    cut = sum(sequence.cut for request in encoded.requests for sequence in request.sequences)
    return {"cut_tokens": cut, "trained": tuning.epochs > 0, **facts}


def _encode(encoder: TextEncoder, examples: Sequence[Example]) -> EncodedExamples:
    return EncodedExamples(examples, encoder.encode(examples))


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
        "tuning": tuning.facts(),
    }


def _find_part(output: Path, plan: Mapping[str, Any], *, resume: bool) -> Path:
    """Return the path of work in progress; with `resume`, with the checkpoints of the same training.

    UsageError if the output exists, or the folder holds another training that was interrupted.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(
            "the output exists already and is not an empty folder.",
            where=str(output),
            remedy="Give a new folder.",
        )
    part = output.with_name(output.name + ".part")
    if part.exists() and not resume:
        with _claimed(part, plan):  # not while another process trains in it
            shutil.rmtree(part)
    if (part / PLAN).exists() and (differences := _differences(part / PLAN, plan)):
        raise UsageError(
            f"another training was interrupted in this folder: {', '.join(differences)}.",
            where=str(part),
            remedy="Use its settings to resume it, or start again without resuming (--no-resume).",
        )
    return part


_HASHES = {
    "parents": "its model differs",
    "data_fingerprint": "its data differ",
    "train_sha256": "its data differ",
}


def _differences(path: Path, plan: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between the plan in a file and another; empty for the same plan."""
    defaults = asdict(TrainingSettings())
    try:
        other = json.loads(path.read_text(encoding="utf-8"))
        then, now = ({**fields, **defaults, **fields["tuning"]} for fields in (other, plan))
    except (ValueError, TypeError, KeyError):
        return ["its plan cannot be read"]
    changed = [name for name in now if name != "tuning" and then.get(name) != now[name]]
    return list(
        dict.fromkeys(
            _HASHES.get(name) or f"{name} was {then.get(name)}, now {now[name]}" for name in changed
        )
    )


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy all files that a tokenizer may read."""
    for path in tokenizer_files(source):
        shutil.copyfile(path, target / path.name)


def _publish(part: Path, output: Path, source: Path, record: Mapping[str, Any]) -> None:
    """Add tokenizer and record to the trained folder, and rename it to the output."""
    final = part / "final"
    copy_tokenizer(source, final)
    (final / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    final.rename(output)
    shutil.rmtree(part)
