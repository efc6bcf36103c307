"""The static int8 variant of ONNX Runtime: activation scales are calibrated once on training examples.

An answer then depends on its own request only, whatever its batch mates, and no call computes scales. In
exchange, activations outside the calibrated range saturate. So calibration uses requests of the lengths that
are served, and the manifest records these lengths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from baselines.checkpoints.artifacts import (
    cache_key,
    cpu_flags,
    find_or_make,
    library_versions,
    missing_modules,
)
from baselines.encoding.batching import Padded, chunks, pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import (
    GRAPH,
    OnnxSystem,
    OnnxVariant,
    copy_text_side,
    graph_facts,
    open_graph,
)
from harness.common.errors import DataError, UsageError
from harness.common.json_types import JsonObject
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.graphs.candidates import LIBRARIES, CandidateTimer, Opener, compare_with_parent, sha256_of
from optimized.graphs.matmul_groups import as_names, matmul_groups, select_nodes
from optimized.graphs.transforms import quantise_static
from optimized.quantization.sensitivity import resolve_keep_float
from optimized.quantization.weight_range import choose_range

_VERSION = 2


@dataclass(frozen=True, slots=True)
class StaticInt8Variant:
    """The fp32 graph with int8 matrix products and scales from `calibration` training examples.

    `keep_float` works as in `Int8Variant`; `auto:N` is measured with dynamic scales.
    """

    name: str = "onnx-int8-static"
    summary: str = "ONNX Runtime int8 with scales from training examples: answers do not depend on the batch"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    calibration: int = 64
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Accept a single name as well as several."""
        object.__setattr__(self, "keep_float", as_names(self.keep_float))

    def unavailable(self) -> str | None:
        """Return what is not installed."""
        return self.parent.unavailable() or missing_modules(*LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Calibrate and quantise the cached fp32 graph; DataError without training examples."""
        require_training(sources, self.name, self.calibration)
        parent = self.parent.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        key = cache_key(
            self.name,
            _VERSION,
            task,
            [parent.key],
            keep_float=self.keep_float,
            calibration=self.calibration,
            training=sources.training_sha256,
            libraries=library_versions(*LIBRARIES),
            cpu=cpu_flags(),
            max_length=settings.max_length,
            trial=sha256_of(sources.trial),
        )
        cached = context.cache.find(key)
        if cached is not None:
            return cached
        keep, sensitivity = resolve_keep_float(parent, self.keep_float, timer)
        examples = training_examples(sources, self.calibration, self.name)

        def make(folder: Path) -> JsonObject:
            parents = [parent.key, *sensitivity.get("parents", ())]
            facts = _calibrate_and_quantise(parent, folder, timer, keep, examples)
            facts["calibration"]["data_sha256"] = sources.training_sha256
            return {"recipe": self.name, "version": _VERSION, **sensitivity, "parents": parents, **facts}

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


def evenly_spaced(examples: Sequence[Example], count: int) -> list[Example]:
    """Return `count` examples at equal distances, or all if there are fewer."""
    size = min(count, len(examples))
    return [examples[index * len(examples) // size] for index in range(size)]


def training_examples(sources: PreparationSources, count: int, name: str) -> list[Example]:
    """Return the examples for calibration, at equal distances over the split; DataError if there are none."""
    examples = evenly_spaced(sources.training() or sources.trial, count)
    if not examples:
        raise _missing_examples(name)
    return examples


def _calibrate_and_quantise(
    parent: Artifact, folder: Path, timer: CandidateTimer, keep: Sequence[str], examples: Sequence[Example]
) -> JsonObject:
    source = parent.folder / GRAPH
    copy_text_side(parent.folder, folder)
    encoder = TextEncoder(parent.folder, timer.settings.max_length)
    requests = encoder.encode(examples)
    timer.context.progress(f"calibrating int8 on {len(requests)} training examples")
    nodes = select_nodes(matmul_groups(source), keep) if keep else []

    def write(reduced: bool) -> Opener:
        inputs = calibration_inputs(requests, encoder.pad_id)
        quantise_static(source, folder / GRAPH, inputs, reduce_range=reduced, keep=nodes)
        return timer.opener(folder / GRAPH)

    reduced, range_facts = choose_range(timer, timer.opener(source), write)
    write(reduced)
    return {
        "weights": "int8, per channel",
        "activations": "int8, scales from calibration",
        **range_facts,
        "kept_float": list(keep),
        "calibration": calibration_facts(requests),
        "libraries": library_versions(*LIBRARIES),
        "cpu": list(cpu_flags()),
        "graph": "raw",
        **graph_facts(folder / GRAPH),
        **compare_with_parent(parent, folder, timer),
    }


def calibration_inputs(requests: Sequence[Request], pad_id: int) -> Iterator[Padded]:
    """Yield the engine inputs of each request as served: one request per call, its sequences together."""
    for sequences in chunks(requests, 1):
        yield pad(sequences, pad_id)


def calibration_facts(requests: Sequence[Request]) -> JsonObject:
    """Return the facts of the calibration data for the manifest."""
    lengths = [len(sequence.ids) for request in requests for sequence in request.sequences]
    return {
        "examples": len(requests),
        "split": "train",
        "method": "least and largest value",
        "tokens": {"least": min(lengths), "median": median(lengths), "most": max(lengths)},
    }


def require_training(sources: PreparationSources, name: str, count: int) -> None:
    """Raise UsageError or DataError for missing examples, or for those of the reported split."""
    if count < 1:
        raise UsageError(f"calibration needs at least one example, got {count}.", where=name)
    if not (sources.trial or sources.training_sha256):
        raise _missing_examples(name)
    if sources.reported_sha256 and sources.reported_sha256 == sources.training_sha256:
        raise DataError(
            "calibration must not use the reported examples: the training split is the reported split.",
            where=name,
            remedy="Report another split, or use onnx-int8, which needs no calibration.",
        )


def _missing_examples(name: str) -> DataError:
    return DataError(
        "calibration needs training examples, and the data has none.",
        where=name,
        remedy="Use data with a training split, or onnx-int8, which needs no calibration.",
    )
