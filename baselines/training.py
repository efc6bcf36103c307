"""The part of fine-tuning that needs torch: transformers' Trainer, set up once.

The order of batches depends on seed and epoch alone, so that a resumed run sees what it would have seen.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint, set_seed

from baselines.artifacts import cpu_has_bf16, library_versions
from baselines.batching import pad
from baselines.classifier import SAFE, uses_segments
from baselines.pytorch import find_device
from baselines.quiet import quiet_transformers
from baselines.watch import OrderedByEpoch, Watch
from harness.errors import CheckpointError, DeviceError
from harness.system import EncodedSequence
from harness.tasks.base import Task

if TYPE_CHECKING:
    from baselines.finetune import Encoded, Tuning


@dataclass(frozen=True, slots=True)
class Job:
    """One training: what to train towards, how, where, and whom to tell."""

    task: Task
    columns: Sequence[int]
    folder: Path
    tuning: "Tuning"
    device: str
    pad_id: int
    progress: Callable[[Any], None]
    clock: Callable[[], float]

    @property
    def bf16(self) -> bool:
        """Whether to train under bfloat16 autocast."""
        if self.tuning.bf16 is not None:
            return self.tuning.bf16
        if self.device != "cpu":
            return bool(torch.cuda.is_bf16_supported())
        return cpu_has_bf16()


def new_classifier(folder: Path, names: Sequence[str], *, seed: int) -> Any:  # noqa: ANN401
    """Return the encoder in float32 with a head for these labels, random where the checkpoint has none."""
    set_seed(seed)
    try:
        with quiet_transformers():
            model, found = AutoModelForSequenceClassification.from_pretrained(
                folder,
                dtype=torch.float32,
                id2label=dict(enumerate(names)),
                label2id={name: column for column, name in enumerate(names)},
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **SAFE,
            )
    except (ValueError, KeyError, OSError, RuntimeError) as problem:
        raise CheckpointError(f"transformers cannot load it ({problem}).", where=folder.name) from problem
    lost = [key for key in sorted(found["missing_keys"]) if "embeddings." in key or ".layer." in key]
    if lost:
        raise CheckpointError(
            f"tensors of the encoder are not in its weights: {', '.join(lost[:4])}.", where=folder.name
        )
    return model


def run(
    job: Job,
    model: Any,  # noqa: ANN401 -- transformers has no types
    train: "Sequence[Encoded]",
    held_out: "Sequence[Encoded]",
    val: "Sequence[Encoded]",
) -> dict[str, Any]:
    """Train, keep the best epoch in `final/`, score `val` with it; return steps, losses and scores."""
    with quiet_transformers():
        trainer = _trainer(job, model, train, held_out)
        began = _resume_point(job.folder)
        trainer.train(resume_from_checkpoint=began)
        state = trainer.state
        scores = score(job, trainer, val) if val else "unavailable, because no examples were given"
        trainer.model.save_pretrained(job.folder / "final")
    first = int(began.rpartition("-")[2]) if began else 0
    per_epoch = [log for log in state.log_history if "eval_selection" in log]
    return {
        "steps": state.global_step,
        "session_steps": [first, state.global_step],
        "loss": [[log["step"], log["loss"]] for log in state.log_history if "loss" in log],
        "selection": [[round(log["epoch"], 3), log["eval_selection"]] for log in per_epoch],
        "kept_step": int(str(state.best_model_checkpoint).rpartition("-")[2]),
        "val": scores,
        "precision": "bfloat16 autocast" if job.bf16 else "float32",
        "device": job.device,
        "threads": torch.get_num_threads(),
        "libraries": library_versions("torch", "transformers", "accelerate", "tokenizers"),
    }


def require_device(name: str) -> None:
    """Raise DeviceError for a device that is not there, or that the trainer cannot be pointed at."""
    if find_device(name).index:
        raise DeviceError(
            f"training runs on the first GPU that is visible, not on {name}.",
            remedy="Use --device cuda, with CUDA_VISIBLE_DEVICES set to the number of the GPU.",
        )


def score(job: Job, trainer: Any, examples: "Sequence[Encoded]") -> dict[str, float]:  # noqa: ANN401
    """Return the task's official metrics of the trained model over labelled examples."""
    found = trainer.predict(_longest_first(examples))
    return _metrics(job, found.predictions, found.label_ids)


class _Trainer(Trainer):  # type: ignore[misc]  # mypy does not follow transformers
    """The library's trainer with an order of batches that survives interruption."""

    def _get_train_sampler(self, train_dataset: Any = None) -> OrderedByEpoch:  # noqa: ANN401
        rows = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(row.ids) for row in rows]
        return OrderedByEpoch(lengths, self.args.train_batch_size, self.args.seed)


def _trainer(
    job: Job,
    model: Any,  # noqa: ANN401 -- transformers has no types
    train: "Sequence[Encoded]",
    held_out: "Sequence[Encoded]",
) -> Any:  # noqa: ANN401
    segments = uses_segments(model)

    def collate(rows: "Sequence[Encoded]") -> dict[str, Any]:
        padded = pad([EncodedSequence(row.ids, row.segments) for row in rows], job.pad_id)
        arrays = {"input_ids": padded.ids, "attention_mask": padded.mask}
        if segments:
            arrays["token_type_ids"] = padded.segments
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {**tensors, "labels": torch.tensor([row.label for row in rows])}

    trainer = _Trainer(
        model=model,
        args=_arguments(job),
        train_dataset=list(train),
        eval_dataset=_longest_first(held_out),
        data_collator=collate,
        compute_metrics=lambda found: {"selection": _selection(job, found.predictions, found.label_ids)},
        callbacks=[Watch(job.folder, job.progress, job.clock)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(job: Job) -> Any:  # noqa: ANN401 -- transformers has no types
    tuning = job.tuning
    arguments = TrainingArguments(
        output_dir=str(job.folder),
        num_train_epochs=tuning.epochs,
        per_device_train_batch_size=tuning.batch,
        per_device_eval_batch_size=tuning.batch,
        learning_rate=tuning.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=tuning.warmup_ratio,
        weight_decay=tuning.weight_decay,
        max_grad_norm=tuning.clip,
        seed=tuning.seed,
        bf16=job.bf16,
        use_cpu=job.device == "cpu",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="selection",
        greater_is_better=True,
        logging_steps=10,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )
    if arguments.n_gpu > 1:
        # with several GPUs visible the trainer would split each batch over all of them
        arguments._n_gpu = 1  # noqa: SLF001 -- there is no public way
    return arguments


def _selection(job: Job, logits: Any, labels: Any) -> float:  # noqa: ANN401 -- numpy arrays of the trainer
    """Return the mean of the task's official metrics, as FastFormers chooses for tasks with two."""
    scores = _metrics(job, logits, labels).values()
    return sum(scores) / len(scores)


def _metrics(job: Job, logits: Any, labels: Any) -> dict[str, float]:  # noqa: ANN401
    ordered = np.asarray(logits, dtype=np.float32)[:, list(job.columns)]
    label_of = {column: label for label, column in zip(job.task.labels, job.columns, strict=True)}
    return job.task.score([label_of[int(label)] for label in labels], job.task.decide(ordered))


def _longest_first(examples: "Sequence[Encoded]") -> "list[Encoded]":
    """Sort for evaluation: batches of like length waste little, and memory peaks at once if at all."""
    return sorted(examples, key=lambda row: -len(row.ids))


def _resume_point(folder: Path) -> str | None:
    """Return the newest complete checkpoint; one that was cut off while it was written is removed."""
    while (newest := get_last_checkpoint(str(folder))) is not None:
        # the trainer writes its state last
        with contextlib.suppress(OSError, ValueError):
            json.loads((Path(newest) / "trainer_state.json").read_text(encoding="utf-8"))
            return str(newest)
        shutil.rmtree(newest)
    return None
