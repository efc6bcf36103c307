"""Fine-tuning an encoder for a task, by transformers' Trainer and with FastFormers' settings.

    train --hash of the first text--> trained on | held out --score per epoch--> the best epoch is kept
    val ------------------------------------------------------------------> scored once, at the end

The split that is reported never chooses anything. Work in progress lies in `<output>.part`; a run that was
cut off, even by kill -9, goes on from its last checkpoint with the same batches in the same order, and the
output folder appears only when it is complete.
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines.folder import read_config
from baselines.labels import label_columns
from baselines.text import TextEncoder
from harness.errors import CheckpointError, UsageError
from harness.system import Checkpoint, EncodedSequence, Example, Request
from harness.tasks.base import Task

PLAN = "plan.json"
RECORD = "training.json"
_TEXT_SIDE = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_HELD_OUT = 0.1  # of the training split, to choose the best epoch

SPLIT_SEED = 0
"""Of what is held out: the same for every recipe and seed, and what `bench train` holds out by default, so
that no model of a chain has been trained on the examples that choose its epoch or its thresholds."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How to train. The learning rate suits small encoders; FastFormers uses 1e-5 for BERT-base.

    `bf16` None lets the CPU decide: autocast where it has bfloat16 instructions, which halved the time of a
    step of MiniLM. Warm-up (`warmup_ratio` of all steps, then linear to zero), weight decay and clip are
    FastFormers'.
    """

    epochs: int = 4
    learning_rate: float = 3e-5
    batch: int = 16
    max_length: int = 256
    seed: int = 0
    bf16: bool | None = None
    warmup_ratio: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class Tick:
    """Where training stands: the share done, seconds left at the pace so far, epoch, last loss."""

    fraction: float
    seconds_left: float | None
    epoch: float
    loss: float | None


@dataclass(frozen=True, slots=True)
class Lesson:
    """What goes through the model together: a sequence with the column of its label, or all of a choice.

    `targets` holds one number a sequence: the column, or for choices 1 where the candidate is right.
    """

    sequences: tuple[EncodedSequence, ...]
    targets: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens over all sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True)
class Asked:
    """Labelled examples with their requests, to be scored officially."""

    examples: Sequence[Example]
    requests: Sequence[Request]


def finetune(
    task: Task,
    train: Sequence[Example],
    val: Sequence[Example],
    model: Checkpoint,
    output: Path,
    *,
    tuning: Tuning | None = None,
    device: str = "cpu",
    data_fingerprint: str = "",
    progress: Callable[[Tick], None] = lambda _: None,
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
    from baselines import training
    from baselines.objective import LabelObjective

    training.require_device(device)
    tuning = tuning or Tuning()
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
    job = training.Job(**what, **how, folder=part, objective=LabelObjective(task.head))
    taught = Asked(kept, encoder.encode(kept))
    classifier = training.new_classifier(model.folder, names, head=task.head, seed=tuning.seed)
    started = clock()
    facts = training.run(job, classifier, lessons(task, columns, taught), *_asked(encoder, held_out, val))
    training.save(classifier, part / "final")
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


def split_for_selection(
    train: Sequence[Example], seed: int, share: float = _HELD_OUT
) -> tuple[list[Example], list[Example]]:
    """Return what is trained on, and what chooses the epoch, by a seeded hash of the first text.

    Examples with the same first text (BoolQ asks several questions about a passage) lie next to each other,
    so that hardly one is on both sides.
    """
    if len(train) < 2:  # noqa: PLR2004 -- one for each side
        raise UsageError(f"{len(train)} training examples are too few to train on and to choose an epoch.")

    def place(example: Example) -> str:
        return hashlib.sha256(f"{seed} {example.inputs[0].first}".encode()).hexdigest()

    ordered = sorted(train, key=place)
    held_out = math.ceil(len(train) * share)
    return ordered[held_out:], ordered[:held_out]


def label_names(task: Task, model: Checkpoint) -> list[str]:
    """Return each column's label: the head's own order where it fits the task, else the task's."""
    config = read_config(model.folder)
    try:
        columns = label_columns(config, task, model.name)
    except CheckpointError:
        return list(task.labels)
    return [task.labels[columns.index(column)] for column in range(len(columns))]


def lessons(task: Task, columns: Sequence[int], asked: Asked) -> list[Lesson]:
    """Return what is trained on: a choice stays whole, every other sequence is a lesson of its own."""
    found = []
    for example, request in zip(asked.examples, asked.requests, strict=True):
        if not example.gold:
            raise UsageError(f"example {example.id} has no label.", remedy="Train on a labelled split.")
        targets = task.targets(example)
        if task.head == "choice":
            found.append(Lesson(request.sequences, targets))
        else:
            pairs = zip(request.sequences, targets, strict=True)
            found += [Lesson((sequence,), (columns[target],)) for sequence, target in pairs]
    return found


def _asked(encoder: TextEncoder, *parts: Sequence[Example]) -> list[Asked]:
    return [Asked(part, encoder.encode(part)) for part in parts]


def _plan(
    task: Task, train: Sequence[Example], model: Checkpoint, tuning: Tuning, data: str
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
