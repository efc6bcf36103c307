"""ONNX Runtime on the CPU: the exported graph in fp32, and the adapter for every ONNX artifact.

A worker that loads such a system imports onnxruntime and tokenizers, but neither torch nor transformers.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, missing_modules
from baselines.checkpoints.folder import CONFIG, TOKENIZER, read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching, Padded, Run
from baselines.encoding.tokenizer import TextEncoder, check_length
from baselines.engines.adapter import Adapter
from baselines.engines.profiles import onnx_profile, profile_prefix
from baselines.models.cuda import require_cpu
from baselines.models.flops import work_facts
from harness.common.errors import BenchError, CheckpointError, UnsupportedError, UsageError
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

GRAPH = "model.onnx"
"""The graph's file in an artifact's folder, beside config.json and tokenizer.json."""

_SPINNING = "session.intra_op.allow_spinning"
_STOP_SPINNING = "session.force_spinning_stop"
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")
_DESCRIBED = (
    *("opset", "exporter", "attention", "nodes", "fused_nodes", "graph"),
    *("weights", "activations", "reduce_range", "kept_float", "around"),
)
"""The fields of a manifest that a system repeats in its description."""


class OnnxSystem(Adapter):
    """An ONNX graph in an ONNX Runtime session on the CPU."""

    def __init__(
        self,
        session: "InferenceSession",
        encoder: TextEncoder,
        batching: Batching,
        facts: Mapping[str, Any],
        open_profiled: "Callable[[], InferenceSession] | None" = None,
        run: Run | None = None,
    ) -> None:
        super().__init__(run or runner(session), encoder, batching)
        self._open_profiled = open_profiled
        self._session = session
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Return the session's options as ONNX Runtime reports them, and the facts about the graph."""
        import onnxruntime

        options = self._session.get_session_options()
        return {
            **self._facts,
            "engine": "onnxruntime",
            "engine_version": onnxruntime.__version__,
            "spinning": options.get_session_config_entry(_SPINNING) == "1",
            "rests_between_calls": threads_rest(options),
            "providers": self._session.get_providers(),
            "threads": options.intra_op_num_threads,
            "interop_threads": options.inter_op_num_threads,
            "execution": options.execution_mode.name,
            "graph_optimization": options.graph_optimization_level.name,
            "padding": "to the longest of a call",
            "batch": self._batching.batch,
            "max_length": self._encoder.max_length,
        }

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator, from a second session; UsageError where none can be opened."""
        if self._open_profiled is None:
            raise UsageError(
                "the profiler needs a second session, and this variant's cannot be opened twice.",
                remedy="Profile onnx-fp32 or onnx-int8 instead.",
            )
        session = self._open_profiled()
        return onnx_profile(session, lambda session: self._batching.answer(requests, runner(session)))

    def close(self) -> None:
        """Release the session."""
        del self._session, self._run


@dataclass(frozen=True, slots=True)
class OnnxVariant:
    """The checkpoint's graph in fp32, as the TorchScript exporter writes it."""

    name: str = "onnx-fp32"
    summary: str = "ONNX Runtime fp32 on the exported graph, no padding"
    tolerance: float = 1e-4  # of a logit against PyTorch; float32 engines differ by about 1e-6

    def unavailable(self) -> str | None:
        """Return which libraries are not installed, or None."""
        return missing_modules(*_LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Export the graph, or find it in the cache; CheckpointError if it disagrees with PyTorch."""
        checkpoint = sources.checkpoint
        config = read_config(checkpoint.folder)
        label_columns(config, task, checkpoint.name)
        check_length(config, settings.max_length)
        parents = [checkpoint.fingerprint]
        libraries = library_versions(*_LIBRARIES)

        def make(folder: Path) -> dict[str, Any]:
            context.progress(f"exporting {checkpoint.name} to ONNX")
            try:
                facts = _export(checkpoint.folder, folder, self.tolerance)
            except (BenchError, OSError):
                raise
            except Exception as problem:  # errors of exporter and engine have no common base class
                raise _not_exportable(checkpoint.name, problem) from problem
            return {"recipe": self.name, "version": 1, "parents": parents, "libraries": libraries, **facts}

        key = cache_key(self.name, 1, task, parents, libraries=libraries, tolerance=self.tolerance)
        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


def open_graph(
    graph: Path,
    task: Task,
    placement: Placement,
    settings: Settings,
    manifest: Mapping[str, Any],
    open_with: "Callable[[Path, Placement], InferenceSession] | None" = None,
    make_run: "Callable[[InferenceSession], Run] | None" = None,
) -> OnnxSystem:
    """Open a graph that has config.json and tokenizer.json beside it.

    `open_with` replaces `open_session`; `make_run` replaces `runner`.
    """
    encoder = TextEncoder(graph.parent, settings.max_length)
    config = read_config(graph.parent)
    columns = label_columns(config, task, graph.parent.name)
    facts = {name: manifest[name] for name in _DESCRIBED if name in manifest} | work_facts(config)
    session = (open_with or open_session)(graph, placement)
    batching = Batching(settings.batch, encoder.pad_id, columns)
    facts["graph_bytes"] = graph.stat().st_size
    open_profiled = None if open_with else partial(open_session, graph, placement, profile=True)
    return OnnxSystem(session, encoder, batching, facts, open_profiled, make_run and make_run(session))


def open_session(
    graph: Path,
    placement: Placement,
    *,
    profile: bool = False,
    change: "Callable[[SessionOptions], None] | None" = None,
) -> "InferenceSession":
    """Return a session that runs one operator at a time on the placement's threads.

    `profile` turns its profiler on; `change` modifies its options before it is opened.

    Threads spin between operators and briefly between requests, which is ONNX Runtime's default: it is faster
    than sleeping, and costs energy where there are several threads and requests are rare. Where other
    sessions take turns on the same cores, threads stop spinning at the end of each call, so that the cores
    are free for the next session.
    """
    import onnxruntime

    require_cpu("this ONNX variant", placement.device)
    onnxruntime.disable_telemetry_events()
    options = session_options(placement, onnxruntime)
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix()
    if change:
        change(options)
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def session_options(placement: Placement, onnxruntime: ModuleType) -> "SessionOptions":
    """Return the options that sessions on all devices share."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = placement.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry(_SPINNING, "1")
    options.add_session_config_entry(_STOP_SPINNING, "1" if placement.in_turns else "0")
    options.log_severity_level = 3  # errors only: its warnings are for authors of exporters
    return options


def threads_rest(options: "SessionOptions") -> bool:
    """Return whether a session's threads stop spinning at the end of each call."""
    return bool(options.get_session_config_entry(_STOP_SPINNING) == "1")


def runner(session: "InferenceSession") -> Run:
    """Return the function that runs one padded batch through the session."""
    names = [argument.name for argument in session.get_inputs()]

    def run(padded: Padded) -> Logits:
        arrays = padded.arrays()
        logits: Logits = session.run(None, {name: arrays[name] for name in names})[0]
        return logits

    return run


def graph_facts(path: Path) -> dict[str, int]:
    """Return a graph's number of nodes, how many of them ONNX Runtime has fused, and the file's bytes."""
    import onnx

    nodes = onnx.load(str(path), load_external_data=False).graph.node
    fused = sum(node.domain == "com.microsoft" for node in nodes)
    return {"nodes": len(nodes), "fused_nodes": fused, "bytes": path.stat().st_size}


def copy_text_side(source: Path, target: Path) -> None:
    """Copy the configuration and the tokenizer, which encoding and labels need beside a graph."""
    for name in (CONFIG, TOKENIZER):
        shutil.copyfile(source / name, target / name)


def _not_exportable(name: str, problem: Exception) -> CheckpointError:
    first_line = (str(problem).splitlines() or [""])[0]
    return UnsupportedError(
        f"the export gave no ONNX graph that runs at every length ({type(problem).__name__}: {first_line}).",
        where=name,
        remedy="This architecture cannot be exported as it is; use pytorch-dynamic.",
    )


def _export(source: Path, target: Path, tolerance: float) -> dict[str, Any]:
    from baselines.engines.agreement import probes, require_agreement
    from baselines.engines.onnx.export import export_classifier
    from baselines.models import classifier

    facts = export_classifier(source, target / GRAPH)
    copy_text_side(source, target)
    inputs = probes(read_config(source))
    # the reference uses the library's default attention, as the baseline does
    reference = classifier.runner(classifier.load_classifier(source))
    candidate = runner(open_session(target / GRAPH, Placement("cpu", (), threads=1)))
    difference = require_agreement(reference, candidate, inputs, tolerance)
    shapes = [list(padded.ids.shape) for padded in inputs]
    return {
        **facts,
        **graph_facts(target / GRAPH),
        "agreement": {"max_logit_difference": difference, "bound": tolerance, "shapes": shapes},
    }
