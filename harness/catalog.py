"""The catalog turns names into variants; the only module that imports baselines/ and optimized/.

Loading it imports none of torch, transformers or onnxruntime: a variant imports what it needs when it
prepares or loads.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.common.errors import MeasurementError, UsageError, unknown_name
from harness.common.json_types import JsonObject
from harness.common.plugins import Plugin, usable
from harness.measurement.machine.devices import device_kind
from harness.systems.interface import (
    Artifact,
    Cache,
    Checkpoint,
    PreparationContext,
    PreparationSources,
    Progress,
    Settings,
    System,
    Variant,
)
from harness.systems.server import is_server, no_servers, server_of
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

BASELINE = "pytorch-fixed"
"""PyTorch in its simplest form: fp32, with every sequence padded to the maximum length."""

UNPADDED = "pytorch-dynamic"
"""The same without padding: a second reference, as padding makes every rival of the baseline look better."""

NULL = "null"
"""A system that answers at once: it measures the harness itself."""

COMMAND = "command"
"""An external program, given by `--system-command`."""

NULL_SERVER = "null-server"
"""A model server that answers at once: it measures the client and the transport of model servers."""

DEFAULT_VARIANTS = (BASELINE, UNPADDED, "onnx-fp32", "onnx-int8", "native-int8")

GPU_VARIANTS = (BASELINE, UNPADDED, "pytorch-fp16", "pytorch-packed-fp16", "pytorch-graphs-fp16")
"""The variants that are measured on a GPU if none are named."""


def default_variants(device: str) -> tuple[str, ...]:
    """Return the variants that are measured on a device if none are named."""
    return DEFAULT_VARIANTS if device == "cpu" else GPU_VARIANTS


SYSTEM_METHODS = ("encode", "predict", "describe", "close")
"""The methods of `harness.systems.interface.System`."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of pretrained encoders: what works with it, and what an engine cannot run and why."""

    name: str
    summary: str
    unavailable: str | None


@dataclass(frozen=True, slots=True)
class BrokenVariant:
    """Stands for a plug-in's variant that cannot be loaded; gives the reason wherever it is used."""

    name: str
    reason: str
    summary: str = "a plug-in that is broken"

    def unavailable(self) -> str:
        """Return the reason."""
        return self.reason

    def prepare(self, *_: object) -> Artifact:
        """Raise UsageError with the reason."""
        raise UsageError(self.reason)

    def load(self, *_: object) -> System:
        """Raise UsageError with the reason."""
        raise UsageError(self.reason)


@dataclass(frozen=True, slots=True)
class PluginVariant:
    """A plug-in's variant: what it raises, and what it returns of another type, names the plug-in."""

    plugin: Plugin
    inner: Variant
    name: str
    summary: str

    def unavailable(self) -> str | None:
        """Return the variant's reason, or the plug-in's failure."""
        try:
            reason = self.plugin.call(self.inner.unavailable)
            return None if reason is None else self.plugin.check(str, "what unavailable() returns", reason)
        except MeasurementError as error:
            return error.message

    def prepare(self, *arguments: object) -> Artifact:
        """Prepare the artifact."""
        artifact = self.plugin.call(self.inner.prepare, *arguments)
        return self.plugin.check(Artifact, "what prepare() returns", artifact)

    def load(self, *arguments: object) -> System:
        """Load the system, and check that it has the methods of one."""
        system = self.plugin.call(self.inner.load, *arguments)
        missing = [name for name in SYSTEM_METHODS if not callable(getattr(system, name, None))]
        if missing:
            raise self.plugin.failed(f"the system that load() returns lacks {', '.join(missing)}")
        return system


class WithPlugins(Mapping[str, Variant]):
    """The built-in variants, and those of plug-ins, each of which is loaded when it is looked up."""

    def __init__(self, built_in_variants: Mapping[str, Variant]) -> None:
        self.built_in = built_in_variants

    def __getitem__(self, name: str) -> Variant:
        if name in self.built_in:
            return self.built_in[name]
        plugin = usable("variant", self.built_in)[name]
        try:
            variant: Variant = plugin.load()
            return PluginVariant(plugin, variant, name, str(plugin.call(lambda: variant.summary)))
        except (UsageError, MeasurementError) as error:
            return BrokenVariant(name, error.message)

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from usable("variant", self.built_in)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _no_checkpoint(name: str, task: Task, cache: Cache) -> Checkpoint:
    del task, cache
    raise unknown_name("checkpoint", name, ())


def _never(*_: object) -> None:
    """Return None: systems without a tokenizer file have one way to encode."""


def _no_check(
    task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
) -> JsonObject:
    del task, sources, settings, context
    return {}


def _no_rung(config: Mapping[str, Any]) -> Variant:
    raise unknown_name("rung", str(config.get("name")), ())


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be measured: variants by name, ladders, and how a model's name becomes a checkpoint.

    `resolve` returns the checkpoint of a model for a task, with a head. `find` does the same for a checkpoint
    that may lack a head, such as a student. `rung` makes the variant of a ladder's rung from its config.
    `check` compares a checkpoint with the library that it is made for; it returns facts for the manifests of
    its variants.
    """

    variants: Mapping[str, Variant]
    resolve: Callable[[str, Task, Cache], Checkpoint]
    families: tuple[Family, ...] = ()
    find: Callable[[str, Task, Cache], Checkpoint] = _no_checkpoint
    rung: Callable[[Mapping[str, Any]], Variant] = _no_rung
    server: Callable[[Mapping[str, Any]], Variant] = no_servers
    ladders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs_library: Callable[..., str | None] = _never
    check: Callable[[Task, PreparationSources, Settings, PreparationContext], JsonObject] = _no_check
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The kinds of devices that a variant runs on, where not on all."""
    shapes: Mapping[str, str] = field(default_factory=dict)
    """The untrained architectures that `--model` takes, each with a line about it."""

    def why_not(self, name: str, device: str) -> str | None:
        """Return why a variant cannot run on a device here, and what would change it; None if it can."""
        kind = device_kind(device)
        kinds = self.devices.get(name, (kind,))
        if kind not in kinds:
            return f"runs on {' and '.join(kinds)} only, not on {device}"
        return self.variant(name).unavailable()

    def unsupported(
        self, name: str, rung: Mapping[str, Any] | None, task: Task, checkpoint: Checkpoint
    ) -> str | None:
        """Return what a variant lacks for a checkpoint, as its config.json describes it; None if nothing."""
        from baselines.checkpoints.folder import read_config

        variant = self.variant(name, rung)
        if getattr(variant, "unsupported", None) is None:
            return None
        reason: str | None = variant.unsupported(task, read_config(checkpoint.folder))  # type: ignore[attr-defined]
        return reason

    def variant(self, name: str, rung: Mapping[str, Any] | None = None) -> Variant:
        """Return the variant of this name, rung or server; UsageError with similar names if it is unknown."""
        if is_server(rung):
            return self.server(rung)
        if rung is not None:
            return self.rung(rung)
        try:
            return self.variants[name]
        except KeyError:
            raise unknown_name("variant", name, self.variants) from None


def built_in(variants: Mapping[str, Variant]) -> Mapping[str, Variant]:
    """Return the variants without those of plug-ins."""
    return variants.built_in if isinstance(variants, WithPlugins) else variants


def load_catalog() -> Catalog:
    """Return the catalog of everything that the package ships and that plug-ins add."""
    from baselines.checkpoints.families import FAMILIES
    from baselines.devices import devices_by_variant
    from baselines.encoding.text_check import fast_tokenizer_differs
    from baselines.models.checks.cached import check_checkpoint
    from baselines.models.resolve import resolve, resolve_classifier
    from baselines.registry import variants as baseline_variants
    from baselines.servers.variant import ServerVariant
    from optimized.ladders import LADDERS
    from optimized.ladders.rung import variant_of
    from optimized.recipes.random_shape import describe_shapes, is_shape, resolve_shape
    from optimized.registry import variants as optimized_variants

    built_in_variants = (*baseline_variants(), *optimized_variants())
    return Catalog(
        WithPlugins({variant.name: variant for variant in built_in_variants}),
        lambda model, *rest: (resolve_shape if is_shape(model) else resolve_classifier)(model, *rest),
        tuple(Family(*family) for family in FAMILIES),
        find=resolve,
        rung=variant_of,
        server=lambda definition: ServerVariant(server_of(definition)),
        ladders=LADDERS,
        needs_library=fast_tokenizer_differs,
        check=check_checkpoint,
        shapes=describe_shapes(),
        devices=devices_by_variant(variant.name for variant in built_in_variants),
    )


@dataclass(frozen=True, slots=True)
class Training:
    """How models are trained: fine-tuning of any checkpoint, and the embedded encoder from scratch."""

    resolve: Callable[[str, Task, Cache], Checkpoint]
    finetune: Callable[..., dict[str, Any]]
    tuning: Callable[..., Any]
    scratch: Callable[..., dict[str, Any]]
    intermediate: Callable[..., Any]


def load_training() -> Training:
    """Return the functions for `bench train`; torch is imported only when training begins."""
    from baselines.models.resolve import resolve
    from baselines.training.datasets import TrainingSettings
    from baselines.training.finetune import finetune
    from baselines.training.intermediate import train_intermediate
    from harness.workload import synthetic

    def scratch(output: Path, *, seed: int, progress: Callable[[Any], None]) -> dict[str, Any]:
        from baselines.training.scratch.pretrain import settings_here, train_embedded

        return train_embedded(output, data=synthetic, settings=settings_here(seed), progress=progress)

    return Training(resolve, finetune, TrainingSettings, scratch, train_intermediate)


def load_held_out() -> Callable[[Sequence[Example]], list[Example]]:
    """Return the function that returns the part of a training split that trains nothing."""
    from baselines.training.datasets import SPLIT_SEED, split_for_selection

    return lambda training: split_for_selection(training, SPLIT_SEED)[1]


@dataclass(frozen=True, slots=True)
class Lengths:
    """How the lengths of texts in tokens are counted, by the tokenizer of any checkpoint."""

    resolve: Callable[[str, Task, Cache], Checkpoint]
    count: Callable[..., Any]
    check: Callable[..., Any]


def load_lengths() -> Lengths:
    """Return the functions for `bench data lengths`."""
    from baselines.encoding.lengths import check_tokens, count_tokens
    from baselines.models.resolve import resolve

    return Lengths(resolve, count_tokens, check_tokens)


@dataclass(frozen=True, slots=True)
class Peaks:
    """How peaks are measured: of the machine's cores, of a library's matrix products by shape, of a board."""

    cores: Callable[..., dict[str, Any] | str]
    products: Callable[..., list[dict[str, Any]]]
    device: Callable[..., dict[str, Any]]


def load_peaks() -> Peaks:
    """Return the functions for `bench roofline`."""
    from baselines.hardware.device_peaks import measure_device
    from baselines.hardware.peaks import measure_cores, measure_products

    return Peaks(measure_cores, measure_products, measure_device)


def load_core_latency() -> Callable[[int, int], Any]:
    """Return the function that starts a probe of the latency between two CPUs, given their numbers."""
    from baselines.hardware.core_exchange import start

    return start


@dataclass(frozen=True, slots=True)
class ExportFunctions:
    """How a prepared variant is exported as a folder that serves it.

    `winner` describes the variant, `require_free` checks the target folder, `hand_over` writes it. `engine`
    returns the name of the engine that a variant's folder has, or None; `reason` why there is none. `files`
    returns the files of a prepared variant's engine, `text` the artifact that holds its tokenizer.
    `require_servable` raises for a model server and a task that do not fit.
    """

    winner: Callable[..., Any]
    require_free: Callable[[Path], None]
    hand_over: Callable[[Any, Path, Progress], dict[str, Any]]
    engine: Callable[[Variant], str | None]
    reason: Callable[[Variant], str | None]
    files: Callable[[Variant, Artifact, Settings], Any]
    text: Callable[[Artifact], Artifact]
    require_servable: Callable[[str, Task], None]


def load_export() -> ExportFunctions:
    """Return the functions for `bench export`."""
    from baselines.export.package import ExportedVariant, export_package, require_free
    from baselines.export.servers import require_servable
    from optimized.exported import registry

    return ExportFunctions(
        ExportedVariant,
        require_free,
        export_package,
        registry.exported_engine,
        registry.not_exported_because,
        registry.engine_files,
        registry.text_folder,
        require_servable,
    )
