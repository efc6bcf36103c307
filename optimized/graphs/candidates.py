"""Candidate graphs of one model: fusion, comparison of their answers, and the choice of the fastest."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from baselines.checkpoints.artifacts import cpu_flags, library_versions
from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import Run
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.runtime import GRAPH, OnnxSystem, graph_facts, open_graph, open_session, runner
from harness.common.json_types import JsonObject
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.graphs import closeness
from optimized.graphs.closeness import BATCH, batch_dependence
from optimized.graphs.transforms import fuse

Opener = Callable[[Settings], System]
"""Opens one model with these settings."""

LIBRARIES = ("onnx", "onnxruntime")
"""Libraries whose versions determine the graphs."""

NO_TRIAL = "unavailable, because there were no trial examples"
"""Stands in a manifest where a measurement on trial examples would be."""


@dataclass(frozen=True, slots=True)
class CandidateTimer:
    """The context in which candidates are timed and compared; `name` is the variant's, for messages.

    `trained` is false for random weights, whose answers cannot show how close a candidate is.
    """

    name: str
    task: Task
    trial: Sequence[Example]
    settings: Settings
    context: PreparationContext
    trained: bool = True

    @classmethod
    def of(
        cls,
        name: str,
        task: Task,
        sources: PreparationSources,
        settings: Settings,
        context: PreparationContext,
    ) -> "CandidateTimer":
        """Return the context of a variant that is prepared from these sources."""
        return cls(name, task, sources.trial, settings, context, trained=sources.checkpoint.trained)

    def open(self, graph: Path) -> OnnxSystem:
        """Open a graph that has config.json and tokenizer.json beside it."""
        return self.opener(graph)(self.settings)

    def opener(self, graph: Path) -> Callable[[Settings], OnnxSystem]:
        """Return a function that opens the graph with other settings."""
        return lambda settings: open_graph(graph, self.task, self.context.placement, settings, {})

    def in_batches(self, batch: int) -> Settings:
        """Return the settings with `batch` requests answered together."""
        return replace(self.settings, batch=batch)

    def time(self, openers: Mapping[str, Callable[[], System]]) -> dict[str, float]:
        """Open the systems, time them interleaved on the trial examples and close them.

        Returns median seconds per request by name.
        """
        systems: dict[str, System] = {}
        try:
            for name, opener in openers.items():
                systems[name] = opener()
            return dict(self.context.measure(systems, self.trial))
        finally:
            for system in systems.values():
                system.close()

    def key_parts(self) -> JsonObject:
        """Return what a choice by measurement depends on, for the cache key."""
        return {
            "libraries": library_versions(*LIBRARIES),
            "cpu": cpu_flags(),
            "threads": self.context.placement.threads,
            "max_length": self.settings.max_length,
            "trial": sha256_of(self.trial),
            "closeness": closeness.VERSION,
        }

    def require_closeness(self, exact: System, rounded: System) -> JsonObject:
        """Return how far the answers to the trial examples are from fp32's; UnsupportedError if too far."""
        return closeness.require_closeness(
            self.task, exact, rounded, self.trial, self.name, trained=self.trained
        )


def fuse_checked(parent: Artifact, target: Path, tolerance: float) -> dict[str, int] | str:
    """Write the parent's graph fused to `target`; return the counts of fused nodes, or why fusing failed.

    `tolerance` bounds the difference of a logit from the raw graph's, both in float32.
    """
    config = read_config(parent.folder)
    try:
        fused_nodes = fuse(parent.folder / GRAPH, target, config)
        if not fused_nodes.get("Attention"):
            target.unlink()
            family = config.get("model_type")
            return f"unavailable, because the optimiser does not support the attention of {family}"
        require_agreement(_open_run(parent.folder / GRAPH), _open_run(target), probes(config), tolerance)
    except Exception as problem:  # noqa: BLE001 -- a third party's patterns on graphs they may not support
        target.unlink(missing_ok=True)
        return fusion_failure(problem)
    return fused_nodes


def fusion_failure(problem: Exception) -> str:
    """Return the manifest's text for an error while fusing."""
    reason = (str(problem).splitlines() or [""])[0]
    return f"unavailable, because fusing failed ({type(problem).__name__}: {reason})"


def keep_fastest(graphs: Mapping[str, Path], folder: Path, timer: CandidateTimer) -> JsonObject:
    """Keep the candidate with the lowest median time as the folder's graph; return times, name and reason.

    The first candidate is kept where nothing can be timed.
    """
    if len(graphs) > 1:
        timer.context.progress(f"timing {' and '.join(graphs)} graph")
    seconds, name, reason = _choose(graphs, timer)
    graphs[name].rename(folder / GRAPH)
    for path in graphs.values():
        path.unlink(missing_ok=True)
    return {
        "seconds_per_request": seconds,
        "graph": name,
        "chosen_because": reason,
        **graph_facts(folder / GRAPH),
    }


def compare_with_parent(parent: Artifact, folder: Path, timer: CandidateTimer) -> JsonObject:
    """Compare the folder's graph with its fp32 parent, and with itself in batches, for the manifest."""
    return compare_with_fp32(timer, timer.opener(parent.folder / GRAPH), timer.opener(folder / GRAPH))


def compare_with_fp32(timer: CandidateTimer, exact: Opener, rounded: Opener) -> JsonObject:
    """Compare int8 answers with float32's, and with themselves in batches; UnsupportedError if too far."""
    if not timer.trial:
        return {"agreement": NO_TRIAL, "batch_dependence": NO_TRIAL}
    timer.context.progress("comparing int8 answers with fp32")
    systems: list[System] = []
    try:
        for opener, settings in (
            (exact, timer.settings),
            (rounded, timer.settings),
            (rounded, timer.in_batches(BATCH)),
        ):
            systems.append(opener(settings))
        reference, candidate, batched = systems
        return {
            "agreement": timer.require_closeness(reference, candidate),
            "batch_dependence": batch_dependence(timer.task, batched, timer.trial),
        }
    finally:
        for system in systems:
            system.close()


def sha256_of(examples: Sequence[Example]) -> str:
    """Return the sha256 over the texts of examples."""
    texts = [[[text.first, text.second] for text in example.inputs] for example in examples]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _choose(graphs: Mapping[str, Path], timer: CandidateTimer) -> tuple[dict[str, float] | str, str, str]:
    """Return seconds per request by graph, or why there are none; the graph to keep; and the reason."""
    first = next(iter(graphs))
    if len(graphs) == 1:
        return "not measured, because there is one graph", first, "the only candidate"
    if not timer.trial:
        return NO_TRIAL, first, "not measured"
    seconds = timer.time({name: partial(timer.open, path) for name, path in graphs.items()})
    return seconds, min(seconds, key=seconds.__getitem__), "the lowest median time"


def _open_run(graph: Path) -> Run:
    return runner(open_session(graph, Placement("cpu", (), threads=1)))
