"""The inputs of a run: the split that is measured, and the checkpoint that variants are made from."""

from typing import Literal

from harness.common.model import FrozenModel


class DataPlan(FrozenModel):
    """The split that is measured; `folder` is where it lies on this machine."""

    tier: Literal["embedded", "local", "online"]
    folder: str
    split: str
    fingerprint: str


class ModelPlan(FrozenModel):
    """The checkpoint that variants are made from."""

    name: str
    tier: Literal["embedded", "local", "online"]
    folder: str
    fingerprint: str
    trained: bool
    trained_on: str = ""
