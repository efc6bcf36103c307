"""Names become variants; the only module that knows baselines/ and optimized/ exist.

Loading the table imports none of torch, transformers or onnxruntime: variants load what they need when they
prepare or load.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import unknown_name
from harness.system import Cache, Checkpoint, Variant
from harness.tasks.base import Task

BASELINE = "pytorch-fixed"
"""PyTorch as people first meet it: fp32, every sequence padded to the maximum length."""

UNPADDED = "pytorch-dynamic"
"""The same without padding: the second reference, because padding flatters every rival of the baseline."""

COMMAND = "command"
"""A program from outside, named by `--system-command`."""

DEFAULT_VARIANTS = (BASELINE, UNPADDED, "onnx-fp32", "onnx-int8")


@dataclass(frozen=True, slots=True)
class Family:
    """A family of pretrained encoders: what works with it, and what an engine cannot do and why."""

    name: str
    summary: str
    unavailable: str | None


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be measured: variants by name, and the way from a model's name to a checkpoint for a task."""

    variants: Mapping[str, Variant]
    resolve: Callable[[str, Task, Cache], Checkpoint]
    families: tuple[Family, ...] = ()

    def variant(self, name: str) -> Variant:
        """Return the variant of this name; UsageError with the nearest names if there is none."""
        try:
            return self.variants[name]
        except KeyError:
            raise unknown_name("variant", name, self.variants) from None


def load_catalog() -> Catalog:
    """Return the catalog of everything that ships with the package."""
    from baselines.checkpoint import resolve_classifier
    from baselines.families import FAMILIES
    from baselines.table import variants as plain
    from optimized.table import variants as faster

    found = {variant.name: variant for variant in (*plain(), *faster())}
    return Catalog(found, resolve_classifier, tuple(Family(*each) for each in FAMILIES))


@dataclass(frozen=True, slots=True)
class Training:
    """How models are trained: any checkpoint by name, fine-tuned; and the embedded encoder, from scratch."""

    resolve: Callable[[str, Task, Cache], Checkpoint]
    finetune: Callable[..., dict[str, Any]]
    tuning: Callable[..., Any]
    scratch: Callable[..., dict[str, Any]]


def load_training() -> Training:
    """Return what `bench train` needs; torch loads only when training begins."""
    from baselines.checkpoint import resolve
    from baselines.finetune import Tuning, finetune
    from harness.data import embedded

    def scratch(output: Path, *, seed: int, progress: Callable[[Any], None]) -> dict[str, Any]:
        from baselines.scratch import settings_here, train_embedded

        return train_embedded(output, data=embedded, settings=settings_here(seed), progress=progress)

    return Training(resolve, finetune, Tuning, scratch)
