"""The int8 variant of ONNX Runtime with tuned session options: mask, arena, spinning, denormals, IO binding.

Each change is timed alone against the plain session on training examples, one request at a time. The changes
that are clearly faster are then timed together, and either all of them or the best one is kept. All times are
in the manifest. Where it was faster, calls without padding use a graph without mask; the graph with the mask
is opened at the first padded call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.checkpoints.artifacts import cache_key, find_or_make, link
from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import Padded, Run
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.runtime import GRAPH, OnnxSystem, copy_text_side, open_graph, open_session, runner
from harness.common.json_types import JsonObject, JsonValue
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.graphs.candidates import NO_TRIAL, CandidateTimer
from optimized.graphs.maskless import without_mask
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_static import evenly_spaced

if TYPE_CHECKING:
    import onnxruntime

MASKLESS = "maskless.onnx"
_VERSION = 1
_CLEARLY = 0.98  # ratio to the plain session's time: a smaller gain is noise
_BUDGET_S = 20.0
_PASSES = 6  # passes of each candidate over the examples, including the unrecorded one
_INHERITED = (
    *("weights", "activations", "reduce_range", "range_trial", "kept_float", "graph", "nodes", "fused_nodes"),
    *("fusion", "agreement", "batch_dependence", "libraries", "cpu"),
)
"""Entries of the parent's manifest that hold for this graph too."""
_MIN_EXAMPLES = 4
_TOLERANCE = 1e-3  # largest difference of a logit; without padding the mask adds only zeros


@dataclass(frozen=True, slots=True)
class SessionTuning:
    """Session options around the matrix products; the defaults are the plain session's."""

    mask: bool = True
    arena: bool = True
    spinning: bool = True
    denormals: bool = True
    io_binding: bool = False

    @classmethod
    def of(cls, names: Sequence[str]) -> "SessionTuning":
        """Return the options with these changes of `CHANGES`."""
        return cls(**{option: value for name in names for option, value in CHANGES[name].items()})


CHANGES: Mapping[str, Mapping[str, bool]] = {
    "no mask": {"mask": False},
    "no arena": {"arena": False},
    "no spinning": {"spinning": False},
    "denormals as zero": {"denormals": False},
    "io binding": {"io_binding": True},
}
TRIALS = {name: SessionTuning.of([name]) for name in CHANGES}
_PLAIN, _TOGETHER = "plain", "together"


@dataclass(frozen=True, slots=True)
class TunedVariant:
    """The int8 graph with the session options that are fastest on this machine."""

    name: str = "onnx-int8-tuned"
    summary: str = "ONNX Runtime dynamic int8 with mask, arena, spinning and binding as is fastest here"
    parent: Int8Variant = field(default_factory=Int8Variant)

    def unavailable(self) -> str | None:
        """Return what is not installed."""
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Time the changes on the parent's graph, and keep those that are faster."""
        parent = self.parent.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        key = cache_key(self.name, _VERSION, task, [parent.key], **timer.key_parts())

        def make(folder: Path) -> JsonObject:
            copy_text_side(parent.folder, folder)
            link(parent.folder / GRAPH, folder / GRAPH)
            maskless = _write_maskless(folder)
            trial_timer = replace(timer, trial=_examples(parent, sources.trial))
            return {
                **{name: parent.manifest[name] for name in _INHERITED if name in parent.manifest},
                "recipe": self.name,
                "version": _VERSION,
                "parents": [parent.key],
                "maskless": maskless,
                **_choose(folder, trial_timer, maskless=isinstance(maskless, int)),
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph with the chosen options; DeviceError for anything but the CPU."""
        tuning = SessionTuning.of(artifact.manifest["around"])
        return _open(artifact.folder, tuning, task, placement, settings, artifact.manifest)


def _open(
    folder: Path,
    tuning: SessionTuning,
    task: Task,
    placement: Placement,
    settings: Settings,
    manifest: Mapping[str, JsonValue],
) -> OnnxSystem:
    """Open a folder's graphs with these options; the graph with the mask only at the first padded call."""

    def session(graph: Path) -> "onnxruntime.InferenceSession":
        return open_session(graph, placement, change=partial(_set_options, tuning))

    def make_run(first: "onnxruntime.InferenceSession") -> Run:
        run = _run_of(first, io_binding=tuning.io_binding)
        if tuning.mask:
            return run
        open_masked = cache(lambda: _run_of(session(folder / GRAPH), io_binding=tuning.io_binding))
        return lambda padded: (run if padded.mask.all() else open_masked())(padded)

    name = GRAPH if tuning.mask else MASKLESS
    return open_graph(
        folder / name, task, placement, settings, manifest, lambda graph, _: session(graph), make_run
    )


def _set_options(tuning: SessionTuning, options: "onnxruntime.SessionOptions") -> None:
    options.enable_cpu_mem_arena = tuning.arena
    if not tuning.spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not tuning.denormals:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")


def _run_of(session: "onnxruntime.InferenceSession", *, io_binding: bool) -> Run:
    """Return a function that answers one padded batch, with IO binding or with arrays passed by name."""
    if not io_binding:
        return runner(session)
    names = [node.name for node in session.get_inputs()]

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
    """Write and check the graph without mask; return the uses of the mask, or why there is no such graph."""
    try:
        uses = without_mask(folder / GRAPH, folder / MASKLESS)
        if not uses:
            return "unavailable, because no node was found that adds the mask to scores"
        unpadded = [padded for padded in probes(read_config(folder)) if padded.mask.all()]
        placement = Placement("cpu", (), threads=1)
        exact, candidate = (runner(open_session(folder / name, placement)) for name in (GRAPH, MASKLESS))
        require_agreement(exact, candidate, unpadded, _TOLERANCE)
    except Exception as problem:  # noqa: BLE001 -- a third-party engine on a graph it may not support
        (folder / MASKLESS).unlink(missing_ok=True)
        return f"unavailable, because {(str(problem).splitlines() or [''])[0]}"
    return uses


def _choose(folder: Path, timer: CandidateTimer, *, maskless: bool) -> JsonObject:
    """Time each change alone, then all faster ones together; return the choice and the times."""
    if not timer.trial:
        return {"around": [], "trials": NO_TRIAL}
    alone = {name: tuning for name, tuning in TRIALS.items() if maskless or tuning.mask}
    timer.context.progress(f"timing {', '.join(alone)}")
    seconds = _time(folder, timer, {_PLAIN: SessionTuning(), **alone})
    faster = [name for name in alone if seconds[name] < _CLEARLY * seconds[_PLAIN]]
    if len(faster) > 1:
        both = _time(folder, timer, {_PLAIN: SessionTuning(), _TOGETHER: SessionTuning.of(faster)})
        seconds[_TOGETHER] = both[_TOGETHER] * seconds[_PLAIN] / both[_PLAIN]
        best = min(faster, key=seconds.__getitem__)
        faster = faster if seconds[_TOGETHER] < seconds[best] else [best]
    return {"around": faster, "trials": {"examples": len(timer.trial), "seconds_per_request": seconds}}


def _time(folder: Path, timer: CandidateTimer, choices: Mapping[str, SessionTuning]) -> dict[str, float]:
    placement, settings = timer.context.placement, timer.settings
    return timer.time(
        {
            name: partial(_open, folder, tuning, timer.task, placement, settings, {})
            for name, tuning in choices.items()
        }
    )


def _examples(parent: Artifact, trial: Sequence[Example]) -> Sequence[Example]:
    """Return as many examples as fit into the time budget of the trials, by the parent's measured time."""
    seconds = parent.manifest.get("seconds_per_request")
    if not isinstance(seconds, dict):
        return trial[:_MIN_EXAMPLES]
    count = int(_BUDGET_S / (min(seconds.values()) * _PASSES * (len(TRIALS) + 3)))
    return evenly_spaced(trial, max(_MIN_EXAMPLES, min(count, len(trial))))
