"""The inputs of a run: the split that is measured, and the checkpoint that variants are made from."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

from harness.common.model import FrozenModel
from harness.systems.interface import Checkpoint


class DataPlan(FrozenModel):
    """The split that is measured; `folder` is where it lies on this machine."""

    tier: Literal["embedded", "local", "online"]
    folder: str
    split: str
    fingerprint: str


class ModelPlan(FrozenModel):
    """The checkpoint that variants are made from, as a plan holds it; fields as in `Checkpoint`."""

    name: str
    tier: Literal["embedded", "local", "online"]
    folder: str
    fingerprint: str
    trained: bool
    trained_on: str = ""

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "ModelPlan":
        """Return the plan's form of a checkpoint."""
        return cls.model_validate({**asdict(checkpoint), "folder": str(checkpoint.folder)})

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint as variants read it."""
        return Checkpoint(**{**self.model_dump(), "folder": Path(self.folder)})
