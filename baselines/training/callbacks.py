"""What the library's trainer is given of ours: the order of examples, and someone who watches each step."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

from baselines.training.datasets import TrainingProgress
from harness.common.errors import MeasurementError

_SAVE_SECONDS = 600.0  # what an interruption may cost at most


class OrderedByEpoch(torch.utils.data.Sampler):  # type: ignore[misc]  # mypy does not follow torch
    """Batches of similar length, in an order that depends on seed and epoch only."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch = batch
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        # 100,003: far more epochs than anybody trains, so that seeds do not share orders
        random = torch.Generator().manual_seed(self._seed * 100_003 + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch, generator=random))


class ProgressCallback(TrainerCallback):  # type: ignore[misc]  # mypy does not follow transformers
    """Tells how far training is, saves at least every ten minutes, and stops at a loss that is no number.

    It also stops when this session has trained for `at_most_s`; what was learned so far is then kept.
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
        self._began = self._saved = (0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Note where this session starts."""
        del args, control
        self._began = self._saved = (state.global_step, self._clock())

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Note when a checkpoint was written."""
        del args, control
        self._saved = (state.global_step, self._clock())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        """Tell where training stands, and ask for a checkpoint if the last is old."""
        del args
        now = self._clock()
        if now - self._saved[1] >= _SAVE_SECONDS:
            control.should_save = True
        if now - self._began[1] >= self._at_most_s:
            control.should_training_stop = True
        done, (first, start) = state.global_step, self._began
        left = (now - start) / (done - first) * (state.max_steps - done) if done > first else None
        self._progress(TrainingProgress(done / state.max_steps, left, state.epoch, self._loss))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401
        """Stop at a loss that is no number."""
        del control
        said = logs or {}
        # the mean over all steps comes once, at the end: a short training has no other
        self._loss = said.get("loss", said.get("train_loss", self._loss))
        if self._loss is not None and not math.isfinite(self._loss):
            raise MeasurementError(
                f"the loss is {self._loss} at step {state.global_step}: training has diverged.",
                where=self._folder.name,
                remedy=f"Lower the learning rate (now {args.learning_rate:g}), or train in float32.",
            )
