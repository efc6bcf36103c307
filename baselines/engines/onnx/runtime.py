"""ONNX Runtime on the CPU: the exported graph in fp32, and the adapter for every ONNX artifact.

A worker that loads one of these imports onnxruntime and tokenizers, and neither torch nor transformers.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions, missing_modules
from baselines.checkpoints.folder import CONFIG, TOKENIZER, read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching, Padded, Run
from baselines.encoding.tokenizer import TextEncoder, check_length
from baselines.engines.adapter import Adapter
from baselines.engines.profiles import of_onnx, scratch_prefix
from baselines.models.flops import work_facts
from harness.common.errors import BenchError, CheckpointError, DeviceError, UsageError
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

GRAPH = "model.onnx"
"""The graph's file in an artifact's folder, beside config.json and tokenizer.json."""

_SPINNING = "session.intra_op.allow_spinning"
_REST = "session.force_spinning_stop"
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime")


class OnnxSystem(Adapter):
    """An ONNX graph in an ONNX Runtime session on the CPU."""

    def __init__(
        self,
        session: Any,  # noqa: ANN401 -- onnxruntime has no types
        encoder: TextEncoder,
        batching: Batching,
        facts: Mapping[str, Any],
        profiled: Callable[[], Any] | None = None,
        run: Run | None = None,
    ) -> None:
        super().__init__(run or runner(session), encoder, batching)
        self._profiled = profiled
        self._session = session
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Read back the session's options and what is known of the graph."""
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
        """Return seconds by class of operator, from a session of its own; UsageError where there is none."""
        if self._profiled is None:
            raise UsageError("its session cannot be opened again with the profiler on.")
        return of_onnx(self._profiled(), lambda session: self._batching.answer(requests, runner(session)))

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
        """Say what is not installed."""
        return missing_modules(*_LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Export once; a graph that disagrees with PyTorch is refused and nothing is kept."""
        checkpoint = sources.checkpoint
        config = read_config(checkpoint.folder)
        label_columns(config, task, checkpoint.name)
        check_length(config, settings.max_length)
        parents = [checkpoint.fingerprint]
        libraries = library_versions(*_LIBRARIES)

        def make(folder: Path) -> dict[str, Any]:
            workshop.progress(f"exporting {checkpoint.name} to ONNX")
            try:
                facts = _export(checkpoint.folder, folder, self.tolerance)
            except (BenchError, OSError):
                raise
            except Exception as problem:  # the exporter's and the engine's errors have no base of their own
                raise _not_exportable(checkpoint.name, problem) from problem
            return {"recipe": self.name, "version": 1, "parents": parents, "libraries": libraries, **facts}

        key = cache_key(self.name, 1, task, parents, libraries=libraries, tolerance=self.tolerance)
        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


def open_graph(
    graph: Path,
    task: Task,
    placement: Placement,
    settings: Settings,
    manifest: Mapping[str, Any],
    opened: Callable[[Path, Placement], Any] | None = None,
    answering: Callable[[Any], Run] | None = None,
) -> OnnxSystem:
    """Open a graph that has config.json and tokenizer.json beside it.

    `opened` makes the session, and `answering` what answers with it.
    """
    encoder = TextEncoder(graph.parent, settings.max_length)
    columns = label_columns(read_config(graph.parent), task, graph.parent.name)
    known = (
        *("opset", "exporter", "attention", "nodes", "fused_nodes", "graph"),
        *("weights", "activations", "reduce_range", "kept_float", "around"),
    )
    facts = {name: manifest[name] for name in known if name in manifest}
    facts |= work_facts(read_config(graph.parent))
    session = (opened or open_session)(graph, placement)
    batching = Batching(settings.batch, encoder.pad_id, columns)
    facts["graph_bytes"] = graph.stat().st_size
    again = None if opened else partial(open_session, graph, placement, profile=True)
    return OnnxSystem(session, encoder, batching, facts, again, answering and answering(session))


def open_session(
    graph: Path,
    placement: Placement,
    *,
    profile: bool = False,
    change: Callable[[Any], None] | None = None,
) -> Any:  # noqa: ANN401 -- onnxruntime has no types
    """Return a session with the placement's threads, one operator at a time, with its profiler on or off.

    `change` may set its options otherwise.

    Threads spin between operators and for a moment between requests, as ONNX Runtime does by default: that is
    faster than sleeping, and costs energy where there is more than one thread and requests are rare. In turns
    with other sessions they rest as soon as a call is answered, or they would keep the cores from the next.
    """
    import onnxruntime

    if placement.device != "cpu":
        raise DeviceError(
            f"ONNX variants run on the CPU, not on {placement.device}.", remedy="Use --device cpu."
        )
    onnxruntime.disable_telemetry_events()
    options = session_options(placement, onnxruntime)
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, scratch_prefix()
    if change:
        change(options)
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def session_options(placement: Placement, onnxruntime: Any) -> Any:  # noqa: ANN401 -- onnxruntime has no types
    """Return a session's options, whatever device it is for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = placement.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry(_SPINNING, "1")
    options.add_session_config_entry(_REST, "1" if placement.in_turns else "0")
    options.log_severity_level = 3  # errors only: its warnings are for authors of exporters
    return options


def threads_rest(options: Any) -> bool:  # noqa: ANN401
    """Say whether a session's threads rest as soon as a call is answered."""
    return bool(options.get_session_config_entry(_REST) == "1")


def runner(session: Any) -> Run:  # noqa: ANN401 -- onnxruntime has no types
    """Return the function that answers one padded batch with the session."""
    names = [each.name for each in session.get_inputs()]

    def run(padded: Padded) -> Logits:
        arrays = padded.arrays()
        logits: Logits = session.run(None, {name: arrays[name] for name in names})[0]
        return logits

    return run


def graph_facts(path: Path) -> dict[str, int]:
    """Return the nodes of a graph, how many of them are fused ones of ONNX Runtime, and the bytes on disk."""
    import onnx

    nodes = onnx.load(str(path), load_external_data=False).graph.node
    fused = sum(node.domain == "com.microsoft" for node in nodes)
    return {"nodes": len(nodes), "fused_nodes": fused, "bytes": path.stat().st_size}


def copy_text_side(source: Path, target: Path) -> None:
    """Copy what encoding and labels need beside a graph."""
    for name in (CONFIG, TOKENIZER):
        shutil.copyfile(source / name, target / name)


def _not_exportable(name: str, problem: Exception) -> CheckpointError:
    first = (str(problem).splitlines() or [""])[0]
    return CheckpointError(
        f"it has no ONNX graph that runs at every length ({type(problem).__name__}: {first}).",
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
    # against the library's default attention, which is what the baseline runs
    reference = classifier.runner(classifier.load_classifier(source))
    candidate = runner(open_session(target / GRAPH, Placement("cpu", (), threads=1)))
    worst = require_agreement(reference, candidate, inputs, tolerance)
    shapes = [list(each.ids.shape) for each in inputs]
    return {
        **facts,
        **graph_facts(target / GRAPH),
        "agreement": {"max_logit_difference": worst, "bound": tolerance, "shapes": shapes},
    }
