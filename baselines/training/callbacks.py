"""Extensions of transformers' Trainer: a reproducible order of examples, and a callback for each step."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices

from baselines.training.datasets import TrainingProgress
from harness.common.errors import MeasurementError

_SAVE_INTERVAL_S = 600.0
"""Training time that an interruption may lose at most."""


class LengthGroupedSampler(torch.utils.data.Sampler):  # type: ignore[misc]  # mypy does not follow torch
    """Batches of similar length, in an order that depends on seed and epoch only."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        # 100,003 is far more than the number of epochs, so that no two seeds share an order
        random = torch.Generator().manual_seed(self._seed * 100_003 + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch, generator=random))


SELECTION = "eval_selection"
"""The held-out score in the trainer's log."""


def no_longer_rises(log: Sequence[Mapping[str, float]], patience: int) -> bool:
    """Return whether the last `patience` held-out scores of a trainer's log are not above an earlier one."""
    scores = [entry[SELECTION] for entry in log if SELECTION in entry]
    return bool(patience and scores) and len(scores) - 1 - scores.index(max(scores)) >= patience


class EarlyStopping(TrainerCallback):  # type: ignore[misc]  # mypy does not follow transformers
    """Ends training after `patience` epochs without a better score.

    transformers' own callback counts by itself, and a training that is resumed from the checkpoint at which
    it ended would go on. This one reads the log, which is in the checkpoint.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_evaluate(self, args: object, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Request the end where the score no longer rises."""
        del args
        if no_longer_rises(state.log_history, self._patience):
            control.should_training_stop = True


class ProgressCallback(TrainerCallback):  # type: ignore[misc]  # mypy does not follow transformers
    """Reports progress, saves a checkpoint at least every ten minutes, and raises an error at a NaN loss.

    It ends training when this session has taken `at_most_s` seconds; the weights at that point are kept.
    """

    def __init__(
        self,
        folder: Path,
        progress: Callable[[TrainingProgress], None],
        clock: Callable[[], float],
        at_most_s: float | None = None,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._clock = clock
        self._at_most_s = math.inf if at_most_s is None else at_most_s
        self._loss: float | None = None
        self._first_step = 0
        self._started = self._saved = 0.0

    def on_train_begin(self, args: object, state: TrainerState, control: object, **_: object) -> None:
        """Record the step and the time at which this session starts."""
        del args, control
        self._first_step = state.global_step
        self._started = self._saved = self._clock()

    def on_save(self, args: object, state: object, control: object, **_: object) -> None:
        """Record the time at which a checkpoint was written."""
        del args, state, control
        self._saved = self._clock()

    def on_step_end(self, args: object, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Report progress, and request a checkpoint if the last one is old."""
        del args
        now = self._clock()
        if now - self._saved >= _SAVE_INTERVAL_S:
            control.should_save = True
        if now - self._started >= self._at_most_s:
            control.should_training_stop = True
        step, steps = state.global_step, state.global_step - self._first_step
        seconds_left = (now - self._started) / steps * (state.max_steps - step) if steps > 0 else None
        self._progress(TrainingProgress(step / state.max_steps, seconds_left, state.epoch, self._loss))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: object,
        logs: Mapping[str, float] | None = None,
        **_: object,
    ) -> None:
        """Keep the loss; raise MeasurementError if it is not finite."""
        del control
        logs = logs or {}
        # `train_loss`, the mean over all steps, is logged once at the end: a short training has no other
        self._loss = logs.get("loss", logs.get("train_loss", self._loss))
        if self._loss is not None and not math.isfinite(self._loss):
            raise MeasurementError(
                f"the loss is {self._loss} at step {state.global_step}: training has diverged.",
                where=self._folder.name,
                remedy=f"Lower the learning rate (now {args.learning_rate:g}), or train in float32.",
            )
