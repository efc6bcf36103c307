"""int8 by ONNX Runtime's dynamic quantisation: weights once, activations as they come, no calibration data.

As in FastFormers (Kim and Hassan Awadalla 2020): matrix products only, weights signed and per output channel,
since one scale per tensor cost a small student its accuracy; embeddings stay float. The graph is quantised as
exported and, where the family can be fused, after ONNX Runtime's transformer optimiser. Neither is always the
faster, so both are timed here and the faster is kept.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.agreement import probes, require_agreement
from baselines.artifacts import cache_key, cpu_flags, find_or_make, library_versions, missing
from baselines.batching import Run
from baselines.folder import read_config
from baselines.onnx import (
    GRAPH,
    OnnxSystem,
    OnnxVariant,
    copy_text_side,
    graph_facts,
    open_graph,
    open_session,
    runner,
)
from harness.system import Artifact, Example, Placement, Settings, Sources, System, Workshop
from harness.tasks.base import Task
from optimized.graphs import fuse, quantise, require_closeness

_LIBRARIES = ("onnx", "onnxruntime")
# with these the CPU sums products of 8-bit numbers in 32 bits; without, AVX2 sums pairs in 16 and saturates
_WIDE_SUMS = frozenset(("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"))


@dataclass(frozen=True, slots=True)
class Int8Variant:
    """The fp32 graph with int8 matrix products."""

    name: str = "onnx-int8"
    summary: str = "ONNX Runtime dynamic int8, per channel, raw or fused graph, whichever is faster here"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    fusion_tolerance: float = 1e-4  # of a logit, fused against raw, both in float32

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return self.parent.unavailable() or missing(*_LIBRARIES)

    def prepare(self, task: Task, sources: Sources, settings: Settings, workshop: Workshop) -> Artifact:
        """Quantise the cached fp32 graph; time the candidates on the trial examples and keep the faster."""
        parent = self.parent.prepare(task, sources, settings, workshop)
        key = cache_key(
            self.name,
            1,
            task,
            [parent.key],
            libraries=library_versions(*_LIBRARIES),
            # the choice between raw and fused holds for this CPU, these threads and these texts
            cpu=cpu_flags(),
            threads=workshop.placement.threads,
            max_length=settings.max_length,
            trial=_sha256_of(sources.trial),
        )

        def make(folder: Path) -> dict[str, Any]:
            bench = _Bench(task, sources.trial, settings, workshop, self.fusion_tolerance)
            facts = _quantise_and_choose(parent, folder, bench)
            return {"recipe": self.name, "version": 1, "parents": [parent.key], **facts}

        return find_or_make(workshop.cache, key, make)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


@dataclass(frozen=True, slots=True)
class _Bench:
    """What candidates are tried with."""

    task: Task
    trial: Sequence[Example]
    settings: Settings
    workshop: Workshop
    fusion_tolerance: float

    def open(self, graph: Path) -> OnnxSystem:
        return open_graph(graph, self.task, self.workshop.placement, self.settings, {})


def _quantise_and_choose(parent: Artifact, folder: Path, bench: _Bench) -> dict[str, Any]:
    tell = bench.workshop.progress
    copy_text_side(parent.folder, folder)
    reduce_range = not _WIDE_SUMS.intersection(cpu_flags())
    tell("quantising to int8")
    graphs = {"raw": folder / "raw.onnx"}
    quantise(parent.folder / GRAPH, graphs["raw"], reduce_range=reduce_range)
    fusion = _fused_candidate(parent, folder, graphs, bench, reduce_range=reduce_range)
    if len(graphs) > 1:
        tell("timing the raw and the fused int8 graph")
    seconds, chosen, reason = _choose(graphs, bench)
    graphs.pop(chosen).rename(folder / GRAPH)
    for loser in graphs.values():
        loser.unlink()
    tell("comparing int8 answers with fp32")
    return {
        "weights": "int8, per channel",
        "reduce_range": reduce_range,
        "libraries": library_versions(*_LIBRARIES),
        "cpu": list(cpu_flags()),
        "fusion": fusion,
        "seconds_per_request": seconds,
        "graph": chosen,
        "chosen_because": reason,
        **graph_facts(folder / GRAPH),
        "agreement": _agreement(parent, folder, bench),
    }


def _fused_candidate(
    parent: Artifact, folder: Path, graphs: dict[str, Path], bench: _Bench, *, reduce_range: bool
) -> dict[str, int] | str:
    """Add the fused graph to the candidates; return the fused nodes, or why there is no such candidate."""
    config = read_config(parent.folder)
    plain = folder / "fused-fp32.onnx"
    try:
        found = fuse(parent.folder / GRAPH, plain, config)
        if not found.get("Attention"):
            return f"unavailable, because the optimiser knows no attention of {config.get('model_type')}"
        raw = _run_of(parent.folder / GRAPH)
        require_agreement(raw, _run_of(plain), probes(config), bench.fusion_tolerance)
        quantise(plain, folder / "fused.onnx", reduce_range=reduce_range)
    except Exception as problem:  # noqa: BLE001 -- patterns of a third party on graphs it may not know
        (folder / "fused.onnx").unlink(missing_ok=True)
        reason = (str(problem).splitlines() or [""])[0]
        return f"unavailable, because fusing failed ({type(problem).__name__}: {reason})"
    finally:
        plain.unlink(missing_ok=True)
    graphs["fused"] = folder / "fused.onnx"
    return found


def _run_of(graph: Path) -> Run:
    return runner(open_session(graph, Placement("cpu", (), threads=1)))


def _choose(graphs: Mapping[str, Path], bench: _Bench) -> tuple[dict[str, float] | str, str, str]:
    """Return seconds per request by graph, or why there are none; the graph to keep; and why."""
    if len(graphs) == 1:
        return "not measured, because there is one graph", "raw", "the only candidate"
    if not bench.trial:
        return "unavailable, because there were no trial examples", "raw", "not measured"
    systems: dict[str, System] = {name: bench.open(path) for name, path in graphs.items()}
    try:
        seconds = dict(bench.workshop.measure(systems, bench.trial))
    finally:
        for system in systems.values():
            system.close()
    return seconds, min(seconds, key=seconds.__getitem__), "the lowest median time"


def _agreement(parent: Artifact, folder: Path, bench: _Bench) -> dict[str, Any] | str:
    if not bench.trial:
        return "unavailable, because there were no trial examples"
    exact, rounded = bench.open(parent.folder / GRAPH), bench.open(folder / GRAPH)
    try:
        return require_closeness(bench.task, exact, rounded, bench.trial)
    finally:
        exact.close()
        rounded.close()


def _sha256_of(trial: Sequence[Example]) -> str:
    texts = [[[text.first, text.second] for text in example.inputs] for example in trial]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()
