"""ONNX Runtime int8 with everything around the products tried: mask, arena, spinning, denormals, IO binding.

Each is tried alone against the plain session on training examples, one request at a time; what is clearly
faster is put together, and all of it or the best of it is kept. All times are in the manifest. A call without
padding goes through a graph without mask where that was faster; the other is opened when a padded call comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, find_or_make, link
from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import Padded, Run
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.runtime import GRAPH, OnnxSystem, copy_text_side, open_graph, open_session, runner
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.maskless import without_mask
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_static import spread

MASKLESS = "maskless.onnx"
_VERSION = 1
_CLEARLY = 0.98  # of the plain session's time: less is noise
_BUDGET_S = 20.0
_PASSES = 6  # of each candidate over the examples, the unrecorded one included
_KEPT = (
    *("weights", "activations", "reduce_range", "range_trial", "kept_float", "graph", "nodes", "fused_nodes"),
    *("fusion", "agreement", "batch_dependence", "libraries", "cpu"),
)
"""What the parent's manifest says of the graph, which is this one's too."""
_FEW = 4
_TOLERANCE = 1e-3  # of a logit: the mask adds zeros to scores, so this is more than enough


@dataclass(frozen=True, slots=True)
class Around:
    """What is done around the products; the defaults are the plain session's."""

    mask: bool = True
    arena: bool = True
    spinning: bool = True
    denormals: bool = True
    bound: bool = False

    @classmethod
    def of(cls, names: Sequence[str]) -> "Around":
        """Return what these words of `CHANGES` say."""
        return cls(**{key: value for name in names for key, value in CHANGES[name].items()})


CHANGES: Mapping[str, Mapping[str, bool]] = {
    "no mask": {"mask": False},
    "no arena": {"arena": False},
    "no spinning": {"spinning": False},
    "denormals as zero": {"denormals": False},
    "io binding": {"bound": True},
}
TRIALS = {name: Around.of([name]) for name in CHANGES}
_PLAIN, _TOGETHER = "plain", "together"


@dataclass(frozen=True, slots=True)
class TunedVariant:
    """The int8 graph in the session that is fastest here."""

    name: str = "onnx-int8-tuned"
    summary: str = "ONNX Runtime dynamic int8 with mask, arena, spinning and binding as is fastest here"
    parent: Int8Variant = field(default_factory=Int8Variant)

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Try everything on the parent's graph."""
        parent = self.parent.prepare(task, sources, settings, workshop)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        key = cache_key(self.name, _VERSION, task, [parent.key], **bench.key_parts())

        def make(folder: Path) -> dict[str, Any]:
            copy_text_side(parent.folder, folder)
            link(parent.folder / GRAPH, folder / GRAPH)
            maskless = _write_maskless(folder)
            trial = _examples(parent, sources.trial)
            found = _tried(folder, bench, trial, maskless=isinstance(maskless, int))
            mine = {"recipe": self.name, "version": _VERSION, "parents": [parent.key], "maskless": maskless}
            kept = {name: parent.manifest[name] for name in _KEPT if name in parent.manifest}
            return {**kept, **mine, **found}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open what was chosen; DeviceError for anything but the CPU."""
        chosen = Around.of(artifact.manifest["around"])
        return _opened(artifact.folder, chosen, task, placement, settings, artifact.manifest)


def _opened(
    folder: Path,
    around: Around,
    task: Task,
    placement: Placement,
    settings: Settings,
    manifest: Mapping[str, Any],
) -> OnnxSystem:
    """Open a folder's graphs as the choice says; that with the mask only when a padded call comes."""

    def session(graph: Path) -> Any:  # noqa: ANN401 -- onnxruntime has no types
        return open_session(graph, placement, change=partial(_change, around))

    def answering(first: Any) -> Run:  # noqa: ANN401
        plain = _run_of(first, bound=around.bound)
        if around.mask:
            return plain
        later = cache(lambda: _run_of(session(folder / GRAPH), bound=around.bound))
        return lambda padded: (plain if padded.mask.all() else later())(padded)

    name = GRAPH if around.mask else MASKLESS
    return open_graph(
        folder / name, task, placement, settings, manifest, lambda graph, _: session(graph), answering
    )


def _change(around: Around, options: Any) -> None:  # noqa: ANN401
    options.enable_cpu_mem_arena = around.arena
    if not around.spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not around.denormals:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")


def _run_of(session: Any, *, bound: bool) -> Run:  # noqa: ANN401
    """Return what answers one padded batch, with arrays bound once a call or handed over by name."""
    if not bound:
        return runner(session)
    names = [each.name for each in session.get_inputs()]

    def run(padded: Padded) -> Logits:
        arrays, binding = padded.arrays(), session.io_binding()
        for name in names:
            binding.bind_cpu_input(name, arrays[name])
        binding.bind_output("logits")
        session.run_with_iobinding(binding)
        logits: Logits = binding.copy_outputs_to_cpu()[0]
        return logits

    return run


def _write_maskless(folder: Path) -> int | str:
    """Write the graph without mask and hold it against the other; return its places, or why there is none."""
    try:
        places = without_mask(folder / GRAPH, folder / MASKLESS)
        if not places:
            return "unavailable, because no place was found that adds the mask to scores"
        alone = [each for each in probes(read_config(folder)) if each.mask.all()]
        one = Placement("cpu", (), threads=1)
        exact, candidate = (runner(open_session(folder / name, one)) for name in (GRAPH, MASKLESS))
        require_agreement(exact, candidate, alone, _TOLERANCE)
    except Exception as problem:  # noqa: BLE001 -- a third party's engine on a graph that it may not know
        (folder / MASKLESS).unlink(missing_ok=True)
        return f"unavailable, because {(str(problem).splitlines() or [''])[0]}"
    return places


def _tried(
    folder: Path, bench: CandidateTimer, trial: Sequence[Example], *, maskless: bool
) -> dict[str, Any]:
    """Time each change alone, then all that were faster together; return the choice and the times."""
    if not trial:
        return {"around": [], "trials": "unavailable, because there were no trial examples"}
    alone = {name: one for name, one in TRIALS.items() if maskless or one.mask}
    bench.workshop.progress(f"timing {', '.join(alone)}")
    seconds = _timed(folder, bench, trial, {_PLAIN: Around(), **alone})
    faster = [name for name in alone if seconds[name] < _CLEARLY * seconds[_PLAIN]]
    if len(faster) > 1:
        both = _timed(folder, bench, trial, {_PLAIN: Around(), _TOGETHER: Around.of(faster)})
        seconds[_TOGETHER] = both[_TOGETHER] * seconds[_PLAIN] / both[_PLAIN]
        best = min(faster, key=seconds.__getitem__)
        faster = faster if seconds[_TOGETHER] < seconds[best] else [best]
    return {"around": faster, "trials": {"examples": len(trial), "seconds_per_request": seconds}}


def _timed(
    folder: Path, bench: CandidateTimer, trial: Sequence[Example], choices: Mapping[str, Around]
) -> dict[str, float]:
    place, settings = bench.workshop.placement, bench.settings
    systems: dict[str, System] = {}
    try:
        for name, one in choices.items():
            systems[name] = _opened(folder, one, bench.task, place, settings, {})
        return dict(bench.workshop.measure(systems, trial))
    finally:
        for system in systems.values():
            system.close()


def _examples(parent: Artifact, trial: Sequence[Example]) -> Sequence[Example]:
    """Return so many examples that the trials stay within their seconds, by the parent's own time."""
    known = parent.manifest.get("seconds_per_request")
    if not isinstance(known, dict):
        return trial[:_FEW]
    most = int(_BUDGET_S / (min(known.values()) * _PASSES * (len(TRIALS) + 3)))
    return spread(trial, max(_FEW, min(most, len(trial))))
