"""The sides of a gate: the same variants from two versions of the code, or of two models, in one run.

A side's variants are named `onnx-int8@base` and `onnx-int8@head`. One program, ours, drives the run; sides
differ in the code that their workers run, and in the checkpoint that they are given.
"""

from pydantic import Field

from harness.common.json_types import JsonObject
from harness.records.inputs import ModelPlan
from harness.records.record import FrozenModel, Revision

SIDE_MARK = "@"
BASE, HEAD, BASE_AGAIN = "base", "head", "base-again"
"""The reference, what is compared with it, and the reference once more: how far that differs is noise."""

SIDES = (BASE, HEAD, BASE_AGAIN)


class Side(FrozenModel):
    """The code, the artifacts and the model of one side's workers.

    `python` is the interpreter and `source` a folder that goes before all others on its module path; empty
    means ours. `cache` is where its artifacts lie, empty for the run's own; `checkpoint` None for the run's
    own. These stay on this machine. `ref`, `revision` and `software` describe the side in the record.
    """

    name: str
    ref: str
    python: str = ""
    source: str = ""
    cache: str = ""
    checkpoint: ModelPlan | None = None
    revision: Revision | None = None
    software: dict[str, str] = Field(default_factory=dict)

    def facts(self) -> JsonObject:
        """Return the side as a record holds it."""
        return {"name": self.name, "ref": self.ref, "revision": str(self.revision) if self.revision else None}


def without_side(variant: str) -> str:
    """Return the variant's own name, without its side."""
    return variant.partition(SIDE_MARK)[0]


def side_of(variant: str) -> str:
    """Return the side in a variant's name, empty where there is none."""
    return variant.partition(SIDE_MARK)[2]
