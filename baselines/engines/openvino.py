"""OpenVINO on the CPU: the exported graph in OpenVINO's model format, in float32 or bfloat16.

The settings are the engine's fastest: all threads of the placement, and an explicit precision, because on
CPUs with bfloat16 OpenVINO rounds to it by default. With its latency hint one stream answers a request on all
threads; with its throughput hint it takes several requests at a time, each on a stream of its own. OpenVINO
compiles kernels for every new length, tens of milliseconds each. Requests are therefore padded to the next of
a few lengths, all of which are compiled when the model is loaded, as a server would do.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from baselines.checkpoints.artifacts import cache_key, cpu_has_bf16, find_or_make, library_versions
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.checkpoints.optional_packages import missing_extra
from baselines.encoding.batching import Batching, Padded, Run, at_once, dummy_batch
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.adapter import Adapter
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.runtime import GRAPH, OnnxVariant, copy_text_side, open_session, runner
from baselines.engines.profiles import CLASSES, openvino_profile
from baselines.models.cuda import require_cpu
from baselines.models.flops import work_facts
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
    from openvino import CompiledModel, InferRequest, Model

MODEL = "openvino.xml"
"""The model's file in an artifact's folder; its weights are in `openvino.bin` beside it."""

STEP = 16
"""Compiled lengths are multiples of this: a request is padded by half of it on average."""

Precision = Literal["f32", "bf16"]
Hint = Literal["LATENCY", "THROUGHPUT"]
_DESCRIBED = ("weights", "activations")
"""The fields of a manifest that a system repeats in its description."""


def load_openvino() -> ModuleType:
    """Return the module openvino, imported without its telemetry."""
    # telemetry would report each import to its makers and create a folder in the user's home
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    module: ModuleType = openvino
    return module


class OpenVinoSystem(Adapter):
    """A compiled OpenVINO model on the CPU."""

    def __init__(
        self,
        compiled: "CompiledModel",
        engine: "SingleStream | ParallelStreams",
        encoder: TextEncoder,
        batching: Batching,
        facts: Mapping[str, Any],
        compile_profiled: "Callable[[], CompiledModel]",
    ) -> None:
        super().__init__(engine.launch, encoder, batching)
        self._compiled = compiled
        self._engine = engine
        self._compile_profiled = compile_profiled
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Return the settings as the plugin reports them."""
        return {
            **self._facts,
            "engine": "openvino",
            "engine_version": load_openvino().__version__,
            "precision": _property(self._compiled, "INFERENCE_PRECISION_HINT"),
            "threads": int(_property(self._compiled, "INFERENCE_NUM_THREADS")),
            "streams": _property(self._compiled, "NUM_STREAMS"),
            "hint": _property(self._compiled, "PERFORMANCE_HINT"),
            "padding": f"to the next multiple of {STEP}, compiled at load",
            "batch": self._batching.batch,
            "max_length": self._encoder.max_length,
        }

    def compile_for(self, counts: Callable[[int], Sequence[int]]) -> None:
        """Compile kernels for each length, and for each number of sequences that `counts` returns for it."""
        spans = "spans" in _input_names(self._compiled)
        warm_up(self._engine.warm_up, self._batching.widths, self._encoder.pad_id, spans=spans, counts=counts)

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator, from a second model that is compiled with a profiler."""
        compiled = self._compile_profiled()
        request = compiled.create_infer_request()
        run = compiled_runner(compiled, request)
        profiles: list[Mapping[str, float]] = []

        def run_profiled(padded: Padded) -> Logits:
            logits = run(padded)
            profiles.append(openvino_profile(request))
            return logits

        self._batching.answer(requests, run)
        self._batching.answer(requests, run_profiled)
        return {name: sum(profile[name] for profile in profiles) for name in CLASSES}

    def close(self) -> None:
        """Release the model."""
        del self._compiled, self._engine, self._run


@dataclass(frozen=True, slots=True)
class OpenVinoVariant:
    """The checkpoint's exported graph in OpenVINO, at `precision`, for latency or for throughput."""

    name: str
    summary: str
    precision: Precision
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    tolerance: float = 1e-3  # of a logit against the exported graph, both in float32
    hint: Hint = "LATENCY"

    def unavailable(self) -> str | None:
        """Return what is not installed, or what the CPU lacks, or None."""
        if problem := missing_extra("openvino"):
            return problem
        if self.precision == "bf16" and not cpu_has_bf16():
            return "needs a CPU with bfloat16 instructions (avx512_bf16, amx_bf16, or bf16 on Arm)"
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Convert the exported graph, or find it in the cache; both precisions share the float32 model."""
        parent = self.parent.prepare(task, sources, settings, context)
        libraries = library_versions("openvino")
        key = cache_key("openvino", 1, task, [parent.key], libraries=libraries, tolerance=self.tolerance)

        def make(folder: Path) -> dict[str, Any]:
            context.progress("converting to OpenVINO")
            save_model(load_openvino().Core().read_model(parent.folder / GRAPH), folder / MODEL)
            copy_text_side(parent.folder, folder)
            facts = {"agreement": _agreement(parent.folder, folder, self.tolerance)}
            origin = {"recipe": "openvino", "version": 1, "parents": [parent.key], "libraries": libraries}
            return {**origin, **facts}

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> OpenVinoSystem:
        """Compile the model; DeviceError for any device but the CPU."""
        return open_model(artifact, task, placement, settings, self.precision, self.hint)


def open_model(
    artifact: Artifact,
    task: Task,
    placement: Placement,
    settings: Settings,
    precision: Precision,
    hint: Hint = "LATENCY",
) -> OpenVinoSystem:
    """Compile an artifact's model; its folder holds config.json and tokenizer.json too."""
    encoder = TextEncoder(artifact.folder, settings.max_length)
    config = read_config(artifact.folder)
    columns = label_columns(config, task, artifact.folder.name)
    facts = {name: artifact.manifest[name] for name in _DESCRIBED if name in artifact.manifest}
    facts |= work_facts(config)
    compiled = compile_model(artifact.folder / MODEL, placement, precision, hint)
    engine = ParallelStreams(compiled) if hint == "THROUGHPUT" else SingleStream(compiled)
    widths = compiled_lengths(settings.max_length)
    warm_up(engine.warm_up, widths, encoder.pad_id, spans=task.head == "span")
    compile_profiled = partial(compile_model, artifact.folder / MODEL, placement, precision, profile=True)
    batching = Batching(settings.batch, encoder.pad_id, columns, widths=widths, collect=engine.collect)
    return OpenVinoSystem(compiled, engine, encoder, batching, facts, compile_profiled)


def compiled_lengths(max_length: int) -> tuple[int, ...]:
    """Return the lengths that are compiled: multiples of `STEP`, and the maximum length."""
    return (*range(STEP, max_length, STEP), max_length)


def warm_up(
    run: Callable[[Padded], object],
    lengths: Sequence[int],
    pad_id: int,
    *,
    spans: bool,
    counts: Callable[[int], Sequence[int]] = lambda _: (1,),
) -> None:
    """Run one batch of each length, and of each number of sequences that `counts` returns for it."""
    for length in lengths:
        for count in counts(length):
            run(dummy_batch(length, count, pad_id, spans=spans))


def compile_model(
    path: Path, placement: Placement, precision: Precision, hint: Hint = "LATENCY", *, profile: bool = False
) -> "CompiledModel":
    """Return the model compiled for the placement's threads; OpenVINO does not pin them."""
    require_cpu("OpenVINO", placement.device)
    core = load_openvino().Core()
    config = properties(placement, precision, hint, profile=profile)
    return core.compile_model(core.read_model(path), "CPU", config)


def properties(
    placement: Placement, precision: Precision, hint: Hint = "LATENCY", *, profile: bool = False
) -> dict[str, str]:
    """Return OpenVINO's properties: the latency hint gives one stream, the other as many as it chooses."""
    return {
        "PERFORMANCE_HINT": hint,
        **({"NUM_STREAMS": "1"} if hint == "LATENCY" else {}),
        "INFERENCE_NUM_THREADS": str(placement.threads),
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": "NO",
        "PERF_COUNT": "YES" if profile else "NO",
    }


class SingleStream:
    """One request at a time, on all threads."""

    collect = staticmethod(at_once)

    def __init__(self, compiled: "CompiledModel") -> None:
        self.launch = compiled_runner(compiled)
        self.warm_up = self.launch


class ParallelStreams:
    """As many requests at a time as the plugin has streams; the plugin assigns requests to streams."""

    def __init__(self, compiled: "CompiledModel") -> None:
        self._names = _input_names(compiled)
        self._queue = load_openvino().AsyncInferQueue(compiled)
        self._queue.set_callback(_append_logits)

    def launch(self, padded: Padded) -> list[Logits]:
        """Start the inference as soon as a stream is free; it appends its logits to the returned list."""
        arrays, logits = padded.arrays(), list[Logits]()
        self._queue.start_async({name: arrays[name] for name in self._names}, userdata=logits)
        return logits

    def collect(self, parts: Sequence[list[Logits]]) -> Callable[[], Logits]:
        """Return a function that waits until all streams are free and concatenates the logits."""

        def wait() -> Logits:
            self._queue.wait_all()
            return np.concatenate([logits for part in parts for logits in part])

        return wait

    def warm_up(self, padded: Padded) -> Logits:
        """Run the batch twice as often as there are streams, so that each stream gets it."""
        return self.collect([self.launch(padded) for _ in range(2 * len(self._queue))])()


def _append_logits(request: "InferRequest", logits: list[Logits]) -> None:
    logits.append(np.array(request.get_output_tensor().data, dtype=np.float32))


def save_model(model: "Model", path: Path) -> None:
    """Write a model without rounding its weights."""
    load_openvino().save_model(model, path, compress_to_fp16=False)


def compiled_runner(compiled: "CompiledModel", request: "InferRequest | None" = None) -> Run:
    """Return the function that runs one padded batch, with `request` or a new one."""
    request = request or compiled.create_infer_request()
    names = _input_names(compiled)

    def run(padded: Padded) -> Logits:
        arrays = padded.arrays()
        outputs = request.infer({name: arrays[name] for name in names}, share_inputs=True)
        logits: Logits = np.array(outputs[0], dtype=np.float32)
        return logits

    return run


def _input_names(compiled: "CompiledModel") -> list[str]:
    return [port.get_any_name() for port in compiled.inputs]


def _agreement(source: Path, folder: Path, tolerance: float) -> dict[str, float]:
    one_thread = Placement("cpu", (), threads=1)
    reference = runner(open_session(source / GRAPH, one_thread))
    candidate = compiled_runner(compile_model(folder / MODEL, one_thread, "f32"))
    difference = require_agreement(reference, candidate, probes(read_config(source)), tolerance)
    return {"max_logit_difference": difference, "bound": tolerance}


def _property(compiled: "CompiledModel", name: str) -> str:
    value = compiled.get_property(name)
    return str(getattr(value, "name", value))


VARIANTS = (
    OpenVinoVariant("openvino-fp32", "OpenVINO fp32, no padding (extra openvino)", "f32"),
    OpenVinoVariant("openvino-bf16", "OpenVINO bfloat16, no padding (extra openvino)", "bf16"),
    OpenVinoVariant(
        "openvino-fp32-throughput", "OpenVINO fp32, requests side by side", "f32", hint="THROUGHPUT"
    ),
    OpenVinoVariant(
        "openvino-bf16-throughput", "OpenVINO bfloat16, requests side by side", "bf16", hint="THROUGHPUT"
    ),
)
