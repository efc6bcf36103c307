"""Training of a classifier with transformers' Trainer; the part of fine-tuning that needs torch.

An `Objective` defines the loss (`baselines/training/objective.py`). The order of batches depends on seed and
epoch only, so that a resumed training gets the batches that it would have had without the interruption.
"""

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import Module
from transformers import (
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint, set_seed

from baselines.checkpoints.artifacts import cpu_has_bf16, library_versions
from baselines.checkpoints.labels import has_head, problem_type_of
from baselines.encoding.batching import Batching, Padded, Run, pad
from baselines.models import resize
from baselines.models.checks.finite import require_finite_weights
from baselines.models.classifier import input_names, logits_of, tensors_of
from baselines.models.cuda import find_device
from baselines.models.span_classifier import load_span_classifier
from baselines.models.transformers_settings import quiet_transformers
from baselines.training.average import WeightAverage
from baselines.training.callbacks import (
    SELECTION,
    EarlyStopping,
    LengthGroupedSampler,
    ProgressCallback,
    no_longer_rises,
)
from baselines.training.datasets import TrainingProgress
from baselines.training.layers import parameter_groups
from baselines.training.objective import Objective
from harness.common.errors import CheckpointError, DeviceError
from harness.systems.interface import Predictions
from harness.workload.tasks.base import Head, Task
from harness.workload.tasks.example import Example, Logits
from harness.workload.tasks.multi_label import MultiLabelTask, calibrate_threshold

if TYPE_CHECKING:
    from baselines.training.datasets import EncodedExamples, TrainingItem, TrainingSettings


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training: task, objective, hyperparameters, device and callbacks.

    `columns` holds, for each label of the task, its column in the logits. Checkpoints are written to
    `folder`. With `keep_best` False the last epoch is kept instead of the best.
    """

    task: Task
    columns: Sequence[int]
    folder: Path
    tuning: "TrainingSettings"
    device: str
    pad_id: int
    progress: Callable[[Any], None]
    clock: Callable[[], float]
    objective: Objective
    keep_best: bool = True
    at_most_s: float | None = None

    @property
    def bf16(self) -> bool:
        """Whether to train under bfloat16 autocast."""
        return uses_bf16(self.device) if self.tuning.bf16 is None else self.tuning.bf16


def uses_bf16(device: str) -> bool:
    """Return whether a device has instructions that make bfloat16 faster than float32."""
    return cpu_has_bf16() if device == "cpu" else bool(torch.cuda.is_bf16_supported())


def new_classifier(folder: Path, names: Sequence[str], *, head: Head, seed: int) -> Module:
    """Return the encoder in float32 with a head for these labels, random if the checkpoint has none."""
    set_seed(seed)
    labels = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: column for column, name in enumerate(names)},
        "problem_type": problem_type_of(head),  # the checkpoint may have had a head for another kind
    }
    try:
        with quiet_transformers():
            if head == "span":
                model, info = load_span_classifier(folder, len(names), **labels)
            else:
                model, info = resize.load(
                    AutoModelForSequenceClassification, folder, ignore_mismatched_sizes=True, **labels
                )
    except (ValueError, KeyError, OSError, RuntimeError, AttributeError, TypeError) as problem:
        raise CheckpointError(
            f"transformers cannot load it ({(str(problem).splitlines() or [''])[0]}).",
            where=folder.name,
            remedy="Check config.json against the weights, or copy the checkpoint again.",
        ) from problem
    missing = [key for key in sorted(info["missing_keys"]) if "embeddings." in key or ".layer." in key]
    if missing:
        raise CheckpointError(
            f"tensors of the encoder are not in its weights: {', '.join(missing[:4])}.",
            where=folder.name,
            remedy="Copy the checkpoint again, or use another.",
        )
    if head != "span" and not has_head(model.state_dict()):
        raise CheckpointError(
            f"{type(model).__name__} has a head that `bench run` cannot read.",
            where=folder.name,
            remedy="Use a checkpoint of another family, such as BERT or RoBERTa.",
        )
    require_finite_weights(model, folder.name)
    return model


def run(
    job: TrainingJob,
    model: Module,
    train: "Sequence[TrainingItem]",
    held_out: "EncodedExamples",
    val: "EncodedExamples",
) -> dict[str, Any]:
    """Train the model in place, load its best epoch and score `val`; return steps, losses and scores.

    The returned fields appear in training.json.
    """
    if not job.tuning.epochs:
        return {"steps": 0, "session_steps": [0, 0], "val": "unavailable, because the model is untrained"}
    with quiet_transformers():
        checkpoint = _last_checkpoint(job.folder)
        trainer = _trainer(job, model, train, held_out, checkpoint)
        trainer.train(resume_from_checkpoint=checkpoint)
        state = trainer.state
        if trainer.average:
            trainer.average.copy_to(
                trainer.model, Path(state.best_model_checkpoint) if job.keep_best else None
            )
        threshold = _threshold(job, trainer.model, held_out)
        scores = (
            score(job, trainer.model, val) if val.examples else "unavailable, because no examples were given"
        )
    first_step = int(checkpoint.rpartition("-")[2]) if checkpoint else 0
    per_epoch = [log for log in state.log_history if SELECTION in log]
    return {
        "steps": state.global_step,
        "steps_planned": math.ceil(len(train) / job.tuning.batch) * job.tuning.epochs,
        "session_steps": [first_step, state.global_step],
        "loss": [[log["step"], log["loss"]] for log in state.log_history if "loss" in log],
        "selection": [[round(log["epoch"], 3), log[SELECTION]] for log in per_epoch],
        "kept_step": _kept_step(job, state),
        "val": scores,
        **threshold,
        "precision": "bfloat16 autocast" if job.bf16 else "float32",
        "device": job.device,
        "threads": torch.get_num_threads(),
        "libraries": library_versions("torch", "transformers", "accelerate", "tokenizers"),
    }


def save(model: Module, folder: Path) -> None:
    """Write weights and configuration into a new folder; CheckpointError for weights that are not finite."""
    require_finite_weights(model, folder.name)
    with quiet_transformers():
        model.save_pretrained(folder)


def require_device(name: str) -> None:
    """Raise DeviceError for a device that does not exist, or a GPU other than the first visible one."""
    if find_device(name).index:
        raise DeviceError(
            f"training runs on the first visible GPU only, not on {name}.",
            remedy="Use --device cuda, with CUDA_VISIBLE_DEVICES set to the number of the GPU.",
        )


def score(job: TrainingJob, model: Module, encoded: "EncodedExamples") -> dict[str, float]:
    """Return the task's official metrics of the model over labelled examples."""
    examples, predictions = _answers(job, model, encoded)
    return job.task.scoring(examples, job.task.decide(predictions.logits, predictions.offsets))


def _threshold(job: TrainingJob, model: Module, held_out: "EncodedExamples") -> dict[str, Any]:
    """Return the calibrated threshold of a multi-label task as a field of training.json; empty for others."""
    if not isinstance(job.task, MultiLabelTask):
        return {}
    examples, predictions = _answers(job, model, held_out)
    calibration = calibrate_threshold(job.task, examples, predictions.logits)
    return {"threshold_calibration": {"split": "train, held out", **asdict(calibration)}}


def _answers(
    job: TrainingJob, model: Module, encoded: "EncodedExamples"
) -> tuple[list[Example], Predictions]:
    """Return the examples, longest first, and the model's answers to them."""
    run = answering(model, bf16=job.bf16)
    # longest first: batches of similar length need little padding, and memory peaks at the beginning
    order = sorted(range(len(encoded.requests)), key=lambda index: -encoded.requests[index].tokens)
    requests = [encoded.requests[index] for index in order]
    predictions = Batching(job.tuning.batch, job.pad_id, job.columns).answer(requests, run)
    return [encoded.examples[index] for index in order], predictions


def answering(model: Module, *, bf16: bool) -> Run:
    """Return the function that runs the model on one padded batch, in inference mode on its device."""
    names = input_names(model)
    precision = torch.bfloat16 if bf16 else None
    model.eval()

    def run(padded: Padded) -> Logits:
        inputs = {name: tensor.to(model.device) for name, tensor in tensors_of(padded, names).items()}
        autocast = torch.autocast(model.device.type, dtype=precision, enabled=precision is not None)
        with torch.inference_mode(), autocast:
            logits: Logits = logits_of(model, inputs).float().cpu().numpy()
        return logits

    return run


def _kept_step(job: TrainingJob, state: TrainerState) -> int:
    best = str(state.best_model_checkpoint).rpartition("-")[2]
    return int(best) if job.keep_best else int(state.global_step)


class _Trainer(Trainer):  # type: ignore[misc]  # mypy does not follow transformers
    """transformers' Trainer with an `Objective`, official metrics and a reproducible order of batches."""

    def __init__(self, job: TrainingJob, held_out: "EncodedExamples", **arguments: object) -> None:
        super().__init__(**arguments)
        self._job = job
        self._held_out = held_out
        self.average = WeightAverage(self.model, job.tuning.average) if job.tuning.average else None
        if self.average:
            self.add_callback(self.average)

    def create_optimizer(self, model: Module | None = None) -> torch.optim.Optimizer:
        """Return transformers' optimizer, with a learning rate for each layer if there is a decay."""
        tuning = self._job.tuning
        if tuning.layer_decay == 1.0 or self.optimizer is not None:  # type: ignore[has-type]  # transformers'
            return super().create_optimizer(model)
        model = self.model if model is None else model
        groups = parameter_groups(model, self.get_decay_parameter_names(model), tuning)
        optimizer, settings = self.get_optimizer_cls_and_kwargs(self.args, model)
        self.optimizer = optimizer(groups, **settings)
        return self.optimizer

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights, and the average of weights beside them."""
        super().save_model(output_dir, _internal_call)
        if self.average and output_dir is not None:
            self.average.save(Path(output_dir))

    def _get_train_sampler(
        self, train_dataset: "Sequence[TrainingItem] | None" = None
    ) -> LengthGroupedSampler:
        items = self.train_dataset if train_dataset is None else train_dataset
        lengths = [item.tokens for item in items]
        return LengthGroupedSampler(lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(
        self, model: Module, inputs: dict[str, Any], return_outputs: bool = False, **_: object
    ) -> torch.Tensor | tuple[torch.Tensor, dict[str, Any]]:
        """Return the loss of the objective."""
        loss = self._job.objective.loss(model, inputs)
        return (loss, {}) if return_outputs else loss

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Return the task's single score over the held-out examples, as FastFormers selects epochs."""
        step, epoch = self.state.global_step / self.state.max_steps, self.state.epoch
        self._job.progress(TrainingProgress(step, None, epoch, None, scoring=True))
        scores = score(self._job, self.average.model if self.average else self.model, self._held_out)
        metrics = {SELECTION: self._job.task.scoring.single(scores)}
        self.log(metrics)
        control = self.control  # type: ignore[has-type]  # mypy does not follow transformers
        self.control = self.callback_handler.on_evaluate(self.args, self.state, control, metrics)
        return metrics


def _trainer(
    job: TrainingJob,
    model: Module,
    train: "Sequence[TrainingItem]",
    held_out: "EncodedExamples",
    checkpoint: str | None,
) -> _Trainer:
    """Return a trainer that is ready to continue from the checkpoint."""
    names = input_names(model)

    def collate(items: "Sequence[TrainingItem]") -> dict[str, Any]:
        padded = pad([sequence for item in items for sequence in item.sequences], job.pad_id)
        return {**tensors_of(padded, names), **job.objective.targets(items)}

    trainer = _Trainer(
        job,
        held_out,
        model=model,
        args=_arguments(job, _epochs(job.tuning, checkpoint)),
        train_dataset=list(train),
        eval_dataset=list(held_out.examples),
        data_collator=collate,
        callbacks=[ProgressCallback(job.folder, job.progress, job.clock, job.at_most_s)],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    if job.tuning.patience:
        trainer.add_callback(EarlyStopping(job.tuning.patience))
    if trainer.average and checkpoint:
        trainer.average.load(Path(checkpoint))
    return trainer


def _epochs(tuning: "TrainingSettings", checkpoint: str | None) -> float:
    """Return the epochs to train in all: those of a checkpoint at which training ended early, else all."""
    if checkpoint:
        state = TrainerState.load_from_json(str(Path(checkpoint) / TRAINER_STATE_NAME))
        if no_longer_rises(state.log_history, tuning.patience):
            return float(state.epoch)
    return tuning.epochs


def _arguments(job: TrainingJob, epochs: float) -> TrainingArguments:
    tuning = job.tuning
    arguments = TrainingArguments(
        output_dir=str(job.folder),
        num_train_epochs=epochs,
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
        load_best_model_at_end=job.keep_best,
        metric_for_best_model="selection",
        greater_is_better=True,
        logging_steps=10,
        logging_nan_inf_filter=False,  # `ProgressCallback` raises an error at a NaN loss
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )
    if arguments.n_gpu > 1:
        # with several visible GPUs the trainer would split each batch over all of them
        arguments._n_gpu = 1  # noqa: SLF001 -- there is no public attribute
    return arguments


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest complete checkpoint, and delete newer ones that were not written completely."""
    while (newest := get_last_checkpoint(str(folder))) is not None:
        # the trainer writes its state last: without it the checkpoint is incomplete
        with contextlib.suppress(OSError, ValueError):
            json.loads((Path(newest) / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
            return str(newest)
        shutil.rmtree(newest)
    return None
