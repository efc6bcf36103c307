"""Graphs of one model that compute the same, and the choice between them by measurement."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cpu_flags, library_versions
from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import Run
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.runtime import GRAPH, OnnxSystem, graph_facts, open_graph, open_session, runner
from harness.systems.interface import Artifact, Placement, PreparationContext, Settings, System
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.graphs.closeness import BATCH, batch_dependence, require_closeness
from optimized.graphs.transforms import fuse

Opener = Callable[[Settings], System]
"""Opens one and the same model with these settings."""

LIBRARIES = ("onnx", "onnxruntime")
"""Whose versions decide what these graphs look like."""

_NO_TRIAL = "unavailable, because there were no trial examples"


@dataclass(frozen=True, slots=True)
class CandidateTimer:
    """What candidates are tried with; `name` is the variant's, for messages."""

    name: str
    task: Task
    trial: Sequence[Example]
    settings: Settings
    workshop: PreparationContext

    def open(self, graph: Path) -> OnnxSystem:
        """Open a graph that has config.json and tokenizer.json beside it."""
        return open_graph(graph, self.task, self.workshop.placement, self.settings, {})

    def opener(self, graph: Path) -> Opener:
        """Return what opens the graph with other settings."""
        return lambda settings: open_graph(graph, self.task, self.workshop.placement, settings, {})

    def in_batches(self, batch: int) -> Settings:
        """Return the settings with `batch` requests answered together."""
        return replace(self.settings, batch=batch)

    def key_parts(self) -> dict[str, Any]:
        """Return what a choice by measurement holds for: these libraries, this CPU, threads and texts."""
        return {
            "libraries": library_versions(*LIBRARIES),
            "cpu": cpu_flags(),
            "threads": self.workshop.placement.threads,
            "max_length": self.settings.max_length,
            "trial": sha256_of(self.trial),
        }


def fused_from(parent: Artifact, target: Path, tolerance: float) -> dict[str, int] | str:
    """Write the parent's graph fused to `target`; return the fused nodes, or why there is no such graph.

    `tolerance` is what a logit may differ from the raw graph's, both in float32.
    """
    config = read_config(parent.folder)
    try:
        found = fuse(parent.folder / GRAPH, target, config)
        if not found.get("Attention"):
            target.unlink()
            return f"unavailable, because the optimiser knows no attention of {config.get('model_type')}"
        require_agreement(_run_of(parent.folder / GRAPH), _run_of(target), probes(config), tolerance)
    except Exception as problem:  # noqa: BLE001 -- patterns of a third party on graphs it may not know
        target.unlink(missing_ok=True)
        return unfused(problem)
    return found


def unfused(problem: Exception) -> str:
    """Say that fusing failed and how."""
    reason = (str(problem).splitlines() or [""])[0]
    return f"unavailable, because fusing failed ({type(problem).__name__}: {reason})"


def keep_fastest(graphs: Mapping[str, Path], folder: Path, bench: CandidateTimer) -> dict[str, Any]:
    """Leave the candidate with the lowest median time as the folder's graph; return times, name and reason.

    The first of them is kept where nothing can be measured.
    """
    if len(graphs) > 1:
        bench.workshop.progress(f"timing {' and '.join(graphs)} graph")
    seconds, chosen, reason = _choose(graphs, bench)
    graphs[chosen].rename(folder / GRAPH)
    for path in graphs.values():
        path.unlink(missing_ok=True)
    return {
        "seconds_per_request": seconds,
        "graph": chosen,
        "chosen_because": reason,
        **graph_facts(folder / GRAPH),
    }


def against_fp32(parent: Artifact, folder: Path, bench: CandidateTimer) -> dict[str, Any]:
    """Compare the folder's graph with its parent, and with itself in batches, for the manifest."""
    return closeness(bench, bench.opener(parent.folder / GRAPH), bench.opener(folder / GRAPH))


def closeness(bench: CandidateTimer, exact: Opener, rounded: Opener) -> dict[str, Any]:
    """Compare rounded answers with float32's, and with themselves in batches; CheckpointError if too far."""
    if not bench.trial:
        return {"agreement": _NO_TRIAL, "batch_dependence": _NO_TRIAL}
    bench.workshop.progress("comparing int8 answers with fp32")
    systems: list[System] = []
    try:
        for opener, settings in (
            (exact, bench.settings),
            (rounded, bench.settings),
            (rounded, bench.in_batches(BATCH)),
        ):
            systems.append(opener(settings))
        plain, close, together = systems
        return {
            "agreement": require_closeness(bench.task, plain, close, bench.trial, bench.name),
            "batch_dependence": batch_dependence(bench.task, together, bench.trial),
        }
    finally:
        for system in systems:
            system.close()


def sha256_of(examples: Sequence[Example]) -> str:
    """Return the sha256 over the texts of examples."""
    texts = [[[text.first, text.second] for text in example.inputs] for example in examples]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _choose(graphs: Mapping[str, Path], bench: CandidateTimer) -> tuple[dict[str, float] | str, str, str]:
    """Return seconds per request by graph, or why there are none; the graph to keep; and why."""
    first = next(iter(graphs))
    if len(graphs) == 1:
        return "not measured, because there is one graph", first, "the only candidate"
    if not bench.trial:
        return _NO_TRIAL, first, "not measured"
    systems: dict[str, System] = {name: bench.open(path) for name, path in graphs.items()}
    try:
        seconds = dict(bench.workshop.measure(systems, bench.trial))
    finally:
        for system in systems.values():
            system.close()
    return seconds, min(seconds, key=seconds.__getitem__), "the lowest median time"


def _run_of(graph: Path) -> Run:
    return runner(open_session(graph, Placement("cpu", (), threads=1)))
