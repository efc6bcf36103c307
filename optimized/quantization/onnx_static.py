"""Int8 with scales from calibration: what activations span is seen on training examples, and stays.

An answer then depends on its own request only, whatever it is batched with, and no request pays for finding
its scales. The price is that a request unlike the calibration's is cut off, so that calibration uses requests
of the lengths that are served, and says how long they were.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

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
from optimized.graphs.candidates import LIBRARIES, CandidateTimer, against_fp32, sha256_of
from optimized.graphs.matmul_groups import as_names, chosen, products
from optimized.graphs.transforms import quantise_static
from optimized.quantization.sensitivity import kept_names
from optimized.quantization.weight_range import choose_range

_VERSION = 2


@dataclass(frozen=True, slots=True)
class StaticInt8Variant:
    """The fp32 graph with int8 matrix products and scales from `calibration` training examples.

    `keep_float` as in `Int8Variant`; its `auto` is measured with dynamic scales.
    """

    name: str = "onnx-int8-static"
    summary: str = "ONNX Runtime int8 with scales from training examples: answers do not depend on the batch"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    calibration: int = 64
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take one name as well as several."""
        object.__setattr__(self, "keep_float", as_names(self.keep_float))

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return self.parent.unavailable() or missing_modules(*LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Calibrate and quantise the cached fp32 graph; DataError without training examples."""
        require_training(sources, self.name, self.calibration)
        parent = self.parent.prepare(task, sources, settings, workshop)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
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
        found = workshop.cache.find(key)
        if found is not None:
            return found
        keep, basis = kept_names(parent, self.keep_float, bench)
        examples = training_examples(sources, self.calibration, self.name)

        def make(folder: Path) -> dict[str, Any]:
            parents = [parent.key, *basis.get("parents", ())]
            facts = _calibrate_and_quantise(parent, folder, bench, keep, examples)
            facts["calibration"]["data_sha256"] = sources.training_sha256
            return {"recipe": self.name, "version": _VERSION, **basis, "parents": parents, **facts}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """Return `count` examples at equal distances, or all where there are fewer."""
    most = min(count, len(examples))
    return [examples[index * len(examples) // most] for index in range(most)]


def training_examples(sources: PreparationSources, count: int, name: str) -> list[Example]:
    """Return what scales come from: training examples at equal distances; DataError if there are none."""
    examples = spread(sources.training() or sources.trial, count)
    if not examples:
        raise _nothing_to_calibrate_on(name)
    return examples


def _calibrate_and_quantise(
    parent: Artifact, folder: Path, bench: CandidateTimer, keep: Sequence[str], examples: Sequence[Example]
) -> dict[str, Any]:
    source = parent.folder / GRAPH
    copy_text_side(parent.folder, folder)
    encoder = TextEncoder(parent.folder, bench.settings.max_length)
    requests = encoder.encode(examples)
    bench.workshop.progress(f"calibrating int8 on {len(requests)} training examples")
    nodes = chosen(products(source), keep) if keep else []

    def made(reduced: bool) -> Path:
        served = calls(requests, encoder.pad_id)
        quantise_static(source, folder / GRAPH, served, reduce_range=reduced, keep=nodes)
        return folder / GRAPH

    reduced, range_basis = choose_range(
        bench, bench.opener(source), lambda reduced: bench.opener(made(reduced))
    )
    made(reduced)
    return {
        "weights": "int8, per channel",
        "activations": "int8, scales from calibration",
        **range_basis,
        "kept_float": list(keep),
        "calibration": calibration_facts(requests),
        "libraries": library_versions(*LIBRARIES),
        "cpu": list(cpu_flags()),
        "graph": "raw",
        **graph_facts(folder / GRAPH),
        **against_fp32(parent, folder, bench),
    }


def calls(requests: Sequence[Request], pad_id: int) -> Iterator[Padded]:
    """Yield each request as it is served: alone, its own sequences together."""
    for sequences in chunks(requests, 1):
        yield pad(sequences, pad_id)


def calibration_facts(requests: Sequence[Request]) -> dict[str, Any]:
    """Say what scales came from, for the manifest."""
    lengths = [len(sequence.ids) for request in requests for sequence in request.sequences]
    return {
        "examples": len(requests),
        "split": "train",
        "method": "least and largest value",
        "tokens": {"least": min(lengths), "median": median(lengths), "most": max(lengths)},
    }


def require_training(sources: PreparationSources, name: str, count: int) -> None:
    """Refuse before anything is exported: no training examples, or those of the split that is reported."""
    if count < 1:
        raise UsageError(f"calibration takes at least one example, not {count}.", where=name)
    if not (sources.trial or sources.training_sha256):
        raise _nothing_to_calibrate_on(name)
    if sources.reported_sha256 and sources.reported_sha256 == sources.training_sha256:
        raise DataError(
            "it would calibrate on the examples that are reported: the training split is the reported one.",
            where=name,
            remedy="Report another split, or use onnx-int8, which needs no calibration.",
        )


def _nothing_to_calibrate_on(name: str) -> DataError:
    return DataError(
        "it takes its scales from training examples, and there are none.",
        where=name,
        remedy="Use data with a training split, or onnx-int8, which needs no calibration.",
    )
