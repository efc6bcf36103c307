"""The sides of a gate: the same variants by two versions of code, or of two models, in one run.

A side's variants are named `onnx-int8@base` and `onnx-int8@head`. One program, ours, drives the run; sides
differ in where their workers take their code from, and in the checkpoint that they are given.
"""

from typing import Any

from pydantic import Field

from harness.records.record import FrozenModel, Revision

SIDE_MARK = "@"
BASE, HEAD, BASE_AGAIN = "base", "head", "base-again"
"""The reference, what is held against it, and the reference once more: how far that differs is noise."""

SIDES = (BASE, HEAD, BASE_AGAIN)


class Side(FrozenModel):
    """Where one side's workers take their code, their artifacts and their model from.

    `python` is the interpreter and `source` a folder that goes before all others on its module path; empty
    means ours. `cache` is where its artifacts lie, empty for the run's own; `checkpoint` None for the run's
    own. These stay on this machine. `ref`, `revision` and `software` say in the record what the side is.
    """

    name: str
    ref: str
    python: str = ""
    source: str = ""
    cache: str = ""
    checkpoint: dict[str, Any] | None = None
    revision: Revision | None = None
    software: dict[str, str] = Field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {"name": self.name, "ref": self.ref, "revision": str(self.revision) if self.revision else None}


def without_side(variant: str) -> str:
    """Return the variant's own name, without its side."""
    return variant.partition(SIDE_MARK)[0]


def side_of(variant: str) -> str:
    """Return the side in a variant's name, empty where there is none."""
    return variant.partition(SIDE_MARK)[2]
