"""Names become variants; the only module that knows baselines/ and optimized/ exist.

Loading the table imports none of torch, transformers or onnxruntime: variants load what they need when they
prepare or load.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.common.errors import UsageError, unknown_name
from harness.common.plugins import usable
from harness.systems.interface import Artifact, Cache, Checkpoint, Progress, System, Variant
from harness.workload.tasks.base import Task

BASELINE = "pytorch-fixed"
"""PyTorch as people first meet it: fp32, every sequence padded to the maximum length."""

UNPADDED = "pytorch-dynamic"
"""The same without padding: the second reference, because padding flatters every rival of the baseline."""

COMMAND = "command"
"""A program from outside, named by `--system-command`."""

DEFAULT_VARIANTS = (BASELINE, UNPADDED, "onnx-fp32", "onnx-int8")

GPU_VARIANTS = (BASELINE, UNPADDED, "pytorch-fp16", "pytorch-packed-fp16", "pytorch-graphs-fp16")
"""What is measured on a GPU where nobody says what."""


def default_variants(device: str) -> tuple[str, ...]:
    """Return what is measured on a device where nobody says what."""
    return DEFAULT_VARIANTS if device == "cpu" else GPU_VARIANTS


@dataclass(frozen=True, slots=True)
class Family:
    """A family of pretrained encoders: what works with it, and what an engine cannot do and why."""

    name: str
    summary: str
    unavailable: str | None


@dataclass(frozen=True, slots=True)
class BrokenVariant:
    """A variant of a plug-in that cannot be used, and why; it says so wherever it is asked for."""

    name: str
    why: str
    summary: str = "a plug-in that is broken"

    def unavailable(self) -> str:
        """Say why."""
        return self.why

    def prepare(self, *_: object) -> Artifact:
        """Refuse."""
        raise UsageError(self.why)

    def load(self, *_: object) -> System:
        """Refuse."""
        raise UsageError(self.why)


class WithPlugins(Mapping[str, Variant]):
    """The built-in variants, and those of plug-ins, each loaded when it is asked for."""

    def __init__(self, known: Mapping[str, Variant]) -> None:
        self.known = known

    def __getitem__(self, name: str) -> Variant:
        if name in self.known:
            return self.known[name]
        try:
            found: Variant = usable("variant", self.known)[name].load()
        except UsageError as problem:
            return BrokenVariant(name, problem.message)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self.known
        yield from usable("variant", self.known)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _no_checkpoint(name: str, task: Task, cache: Cache) -> Checkpoint:
    del task, cache
    raise unknown_name("checkpoint", name, ())


def _no_rung(words: Mapping[str, Any]) -> Variant:
    raise unknown_name("rung", str(words.get("name")), ())


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be measured: variants by name, and the way from a model's name to a checkpoint for a task."""

    variants: Mapping[str, Variant]
    resolve: Callable[[str, Task, Cache], Checkpoint]
    families: tuple[Family, ...] = ()
    find: Callable[[str, Task, Cache], Checkpoint] = _no_checkpoint
    """Like `resolve`, but the checkpoint may lack a head: a student, say."""
    rung: Callable[[Mapping[str, Any]], Variant] = _no_rung
    """Makes the variant of a ladder's rung from its words."""
    ladders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def variant(self, name: str, rung: Mapping[str, Any] | None = None) -> Variant:
        """Return the variant of this name or rung; UsageError with the nearest names if there is none."""
        if rung is not None:
            return self.rung(rung)
        try:
            return self.variants[name]
        except KeyError:
            raise unknown_name("variant", name, self.variants) from None


def built_in(variants: Mapping[str, Variant]) -> Mapping[str, Variant]:
    """Return the variants that are no plug-in's."""
    return variants.known if isinstance(variants, WithPlugins) else variants


def load_catalog() -> Catalog:
    """Return the catalog of everything that ships with the package, and of what plug-ins add."""
    from baselines.checkpoints.families import FAMILIES
    from baselines.models.resolve import resolve, resolve_classifier
    from baselines.registry import variants as plain
    from optimized.ladders import LADDERS
    from optimized.ladders.rung import variant_of
    from optimized.recipes.random_shape import is_shape, resolve_shape
    from optimized.registry import variants as faster

    found = {variant.name: variant for variant in (*plain(), *faster())}
    return Catalog(
        WithPlugins(found),
        lambda model, *rest: (resolve_shape if is_shape(model) else resolve_classifier)(model, *rest),
        tuple(Family(*each) for each in FAMILIES),
        find=resolve,
        rung=variant_of,
        ladders=LADDERS,
    )


@dataclass(frozen=True, slots=True)
class Training:
    """How models are trained: any checkpoint by name, fine-tuned; and the embedded encoder, from scratch."""

    resolve: Callable[[str, Task, Cache], Checkpoint]
    finetune: Callable[..., dict[str, Any]]
    tuning: Callable[..., Any]
    scratch: Callable[..., dict[str, Any]]


def load_training() -> Training:
    """Return what `bench train` needs; torch loads only when training begins."""
    from baselines.models.resolve import resolve
    from baselines.training.datasets import TrainingSettings
    from baselines.training.finetune import finetune
    from harness.workload import synthetic

    def scratch(output: Path, *, seed: int, progress: Callable[[Any], None]) -> dict[str, Any]:
        from baselines.training.scratch.pretrain import settings_here, train_embedded

        return train_embedded(output, data=synthetic, settings=settings_here(seed), progress=progress)

    return Training(resolve, finetune, TrainingSettings, scratch)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are in tokens: any checkpoint by name, and the count by its tokenizer."""

    resolve: Callable[[str, Task, Cache], Checkpoint]
    count: Callable[..., Any]
    check: Callable[..., Any]


def load_lengths() -> Lengths:
    """Return what `bench data lengths` needs."""
    from baselines.encoding.lengths import check_tokens, count_tokens
    from baselines.models.resolve import resolve

    return Lengths(resolve, count_tokens, check_tokens)


@dataclass(frozen=True, slots=True)
class Peaks:
    """How limits are measured: the machine's cores, the products of a library at some shapes, a board."""

    cores: Callable[..., dict[str, Any] | str]
    products: Callable[..., list[dict[str, Any]]]
    device: Callable[..., dict[str, Any]]


def load_peaks() -> Peaks:
    """Return what `bench roofline` needs."""
    from baselines.hardware.device_peaks import measure_device
    from baselines.hardware.peaks import measure_cores, measure_products

    return Peaks(measure_cores, measure_products, measure_device)


def load_core_latency() -> Callable[[int, int], Any]:
    """Return what starts two CPUs that can be asked how fast they answer each other, given their numbers."""
    from baselines.hardware.core_exchange import start

    return start


@dataclass(frozen=True, slots=True)
class ExportFunctions:
    """How a prepared variant becomes a folder that serves it: the winner, whether there is room, and how."""

    winner: Callable[..., Any]
    require_free: Callable[[Path], None]
    hand_over: Callable[[Any, Path, Progress], dict[str, Any]]


def load_export() -> ExportFunctions:
    """Return what `bench export` needs."""
    from baselines.export.package import ExportedVariant, export_package, require_free

    return ExportFunctions(ExportedVariant, require_free, export_package)
