"""The moving average of the weights: what is scored on the held-out examples and kept.

    after each step: average = decay * average + (1 - decay) * weights

An average over some 1 / (1 - decay) steps moves less from step to step than the weights do (Polyak and
Juditsky 1992; Izmailov et al. 2018, arXiv 1803.05407). Its file lies in each checkpoint, so a resumed
training ends with the same average.
"""

from pathlib import Path

from safetensors.torch import load_model, save_model
from torch.nn import Module
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback

_FILE = "average.safetensors"


class WeightAverage(TrainerCallback):  # type: ignore[misc]  # mypy does not follow transformers
    """A model whose weights are the moving average of those of the model in training."""

    def __init__(self, model: Module, decay: float) -> None:
        self._average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def model(self) -> Module:
        """The model with the averaged weights."""
        return self._average.module

    def on_step_end(
        self, args: object, state: object, control: object, *, model: Module, **_: object
    ) -> None:
        """Move the average towards the weights after a step; the first step's are its beginning."""
        del args, state, control
        self._average.update_parameters(model)

    def save(self, checkpoint: Path) -> None:
        """Write the average into the folder of a checkpoint."""
        save_model(self._average, str(checkpoint / _FILE))

    def load(self, checkpoint: Path) -> None:
        """Read the average from the folder of a checkpoint."""
        load_model(self._average, str(checkpoint / _FILE))

    def copy_to(self, model: Module, checkpoint: Path | None) -> None:
        """Copy the average into a model: that of a checkpoint, or the present one."""
        if checkpoint is not None:
            self.load(checkpoint)
        model.load_state_dict(self.model.state_dict())
