"""OpenVINO on the CPU: the exported graph as its own format, in float32 or bfloat16.

A rival with its own best settings: the threads it was given, and the precision said aloud, because on CPUs
with bfloat16 OpenVINO rounds to it unless told otherwise. With its latency hint one stream answers a request
on all threads; with its throughput hint it takes as many requests at once as it asks for, each on a stream
of its own. It compiles kernels for each length that it has not seen yet, tens of milliseconds apiece: so
requests are padded to the next of a few lengths, and all of these are compiled when the model is loaded, as
whoever serves it would do.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from baselines.checkpoints.artifacts import cache_key, cpu_has_bf16, find_or_make, library_versions
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.checkpoints.optional_packages import missing_extra
from baselines.encoding.batching import Batching, Padded, Run, at_once, pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.adapter import Adapter
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.runtime import GRAPH, OnnxVariant, copy_text_side, open_session, runner
from baselines.engines.profiles import CLASSES, of_openvino
from baselines.models.flops import work_facts
from harness.common.errors import DeviceError
from harness.systems.interface import (
    Artifact,
    EncodedSequence,
    Placement,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits

MODEL = "openvino.xml"
"""The model's file in an artifact's folder; its weights lie beside it as `openvino.bin`."""

Precision = Literal["f32", "bf16"]
Hint = Literal["LATENCY", "THROUGHPUT"]


def load_openvino() -> Any:  # noqa: ANN401 -- a module
    """Return the module openvino, with its telemetry switched off before it loads."""
    # it reports each import to its makers, and leaves a folder in the user's home, unless this is not there
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


STEP = 16
"""Lengths that are compiled are multiples of this: a request is padded by half of it on average."""


class OpenVinoSystem(Adapter):
    """A compiled OpenVINO model on the CPU."""

    def __init__(
        self,
        compiled: Any,  # noqa: ANN401 -- a CompiledModel
        engine: "Engine",
        encoder: TextEncoder,
        batching: Batching,
        facts: Mapping[str, Any],
        profiled: Callable[[], Any],
    ) -> None:
        super().__init__(engine.launch, encoder, batching)
        self._compiled = compiled
        self._engine = engine
        self._profiled = profiled
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Read back what the plugin really uses."""
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
        """Compile for each length, and for each of so many sequences of it together as `counts` says."""
        spans = "spans" in [each.get_any_name() for each in self._compiled.inputs]
        warm(self._engine.meet, self._batching.widths, self._encoder.pad_id, spans=spans, counts=counts)

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator, from a model of its own that counts them."""
        compiled = self._profiled()
        request = compiled.create_infer_request()
        plain, seen = run_of(compiled, request), []

        def run(padded: Padded) -> Logits:
            logits = plain(padded)
            seen.append(of_openvino(request))
            return logits

        self._batching.answer(requests, plain)
        self._batching.answer(requests, run)
        return {name: sum(each[name] for each in seen) for name in CLASSES}

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
        """Say what is not installed, or what the CPU lacks."""
        if problem := missing_extra("openvino"):
            return problem
        if self.precision == "bf16" and not cpu_has_bf16():
            return "needs a CPU with bfloat16 instructions (avx512_bf16, amx_bf16, or bf16 on Arm)"
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Convert the exported graph once; both precisions share the float32 model on disk."""
        parent = self.parent.prepare(task, sources, settings, workshop)
        libraries = library_versions("openvino")
        key = cache_key("openvino", 1, task, [parent.key], libraries=libraries, tolerance=self.tolerance)

        def make(folder: Path) -> dict[str, Any]:
            workshop.progress("converting to OpenVINO")
            save_model(load_openvino().Core().read_model(parent.folder / GRAPH), folder / MODEL)
            copy_text_side(parent.folder, folder)
            facts = {"agreement": _agreement(parent.folder, folder, self.tolerance)}
            named = {"recipe": "openvino", "version": 1, "parents": [parent.key], "libraries": libraries}
            return {**named, **facts}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> OpenVinoSystem:
        """Compile the model; DeviceError for anything but the CPU."""
        return open_model(artifact, task, placement, settings, self.precision, self.hint)


def open_model(
    artifact: Artifact,
    task: Task,
    placement: Placement,
    settings: Settings,
    precision: Precision,
    hint: Hint = "LATENCY",
) -> OpenVinoSystem:
    """Compile an artifact's model; config.json and tokenizer.json lie beside it."""
    encoder = TextEncoder(artifact.folder, settings.max_length)
    columns = label_columns(read_config(artifact.folder), task, artifact.folder.name)
    known = ("weights", "activations")
    facts = {name: artifact.manifest[name] for name in known if name in artifact.manifest}
    facts |= work_facts(read_config(artifact.folder))
    compiled = compile_model(artifact.folder / MODEL, placement, precision, hint)
    engine: Engine = Streams(compiled) if hint == "THROUGHPUT" else OneStream(compiled)
    widths = widths_up_to(settings.max_length)
    warm(engine.meet, widths, encoder.pad_id, spans=task.head == "span")
    again = partial(compile_model, artifact.folder / MODEL, placement, precision, profile=True)
    batching = Batching(settings.batch, encoder.pad_id, columns, widths=widths, collect=engine.collect)
    return OpenVinoSystem(compiled, engine, encoder, batching, facts, again)


def widths_up_to(max_length: int) -> tuple[int, ...]:
    """Return the lengths that are compiled: multiples of `STEP`, and the maximum length."""
    return (*range(STEP, max_length, STEP), max_length)


def warm(
    run: Run,
    widths: Sequence[int],
    pad_id: int,
    *,
    spans: bool,
    counts: Callable[[int], Sequence[int]] = lambda _: (1,),
) -> None:
    """Let the engine compile for each length and number of sequences: one, unless `counts` says others."""
    for width in widths:
        ids = np.full(width, pad_id + 1, dtype=np.int64)
        marks = ((0, 1), (1, 2)) if spans else ()
        for count in counts(width):
            run(pad([EncodedSequence(ids, np.zeros_like(ids), marks)] * count, pad_id))


def compile_model(
    path: Path, placement: Placement, precision: Precision, hint: Hint = "LATENCY", *, profile: bool = False
) -> Any:  # noqa: ANN401 -- a CompiledModel
    """Return the model compiled for these threads, without pinning of its own.

    For latency it has one stream; for throughput as many as it thinks best.
    """
    if placement.device != "cpu":
        raise DeviceError(
            f"OpenVINO variants run on the CPU, not on {placement.device}.", remedy="Use --device cpu."
        )
    wanted = {
        "PERFORMANCE_HINT": hint,
        **({"NUM_STREAMS": "1"} if hint == "LATENCY" else {}),
        "INFERENCE_NUM_THREADS": str(placement.threads),
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": "NO",
        "PERF_COUNT": "YES" if profile else "NO",
    }
    core = load_openvino().Core()
    return core.compile_model(core.read_model(path), "CPU", wanted)


class Engine(Protocol):
    """How a compiled model is given padded batches: `Batching` launches them, then collects all logits."""

    def launch(self, padded: Padded) -> Any:  # noqa: ANN401 -- what `collect` takes
        """Begin to answer."""

    def collect(self, parts: Sequence[Any]) -> Callable[[], Logits]:
        """Return what waits for all that was launched, one below the other."""

    def meet(self, padded: Padded) -> Any:  # noqa: ANN401 -- nobody looks at it
        """Answer it wherever it may be answered later, so that its shape is compiled there."""


class OneStream:
    """One request at a time."""

    collect = staticmethod(at_once)

    def __init__(self, compiled: Any) -> None:  # noqa: ANN401 -- a CompiledModel
        self.launch = run_of(compiled)
        self.meet = self.launch


class Streams:
    """As many requests at a time as the plugin asks for; which stream takes one is its own business."""

    def __init__(self, compiled: Any) -> None:  # noqa: ANN401 -- a CompiledModel
        self._names = [each.get_any_name() for each in compiled.inputs]
        self._queue = load_openvino().AsyncInferQueue(compiled)
        self._queue.set_callback(_keep)

    def launch(self, padded: Padded) -> list[Logits]:
        """Begin to answer as soon as a stream is free; the logits will be in the list."""
        arrays, answer = padded.arrays(), list[Logits]()
        self._queue.start_async({name: arrays[name] for name in self._names}, userdata=answer)
        return answer

    def collect(self, parts: Sequence[list[Logits]]) -> Callable[[], Logits]:
        """Return what waits until all streams are free."""

        def waited() -> Logits:
            self._queue.wait_all()
            return np.concatenate([logits for part in parts for logits in part])

        return waited

    def meet(self, padded: Padded) -> Logits:
        """Answer it so often at once that no stream is left out."""
        return self.collect([self.launch(padded) for _ in range(2 * len(self._queue))])()


def _keep(request: Any, answer: list[Logits]) -> None:  # noqa: ANN401 -- an InferRequest
    answer.append(np.array(request.get_output_tensor().data, dtype=np.float32))


def save_model(model: Any, path: Path) -> None:  # noqa: ANN401 -- an openvino.Model
    """Write a model whose weights keep their precision."""
    load_openvino().save_model(model, path, compress_to_fp16=False)


def run_of(compiled: Any, request: Any = None) -> Run:  # noqa: ANN401 -- a CompiledModel, an InferRequest
    """Return the function that answers one padded batch, with this request or one of its own."""
    request = request or compiled.create_infer_request()
    names = [each.get_any_name() for each in compiled.inputs]

    def run(padded: Padded) -> Logits:
        arrays = padded.arrays()
        found = request.infer({name: arrays[name] for name in names}, share_inputs=True)
        logits: Logits = np.array(found[0], dtype=np.float32)
        return logits

    return run


def _agreement(source: Path, folder: Path, tolerance: float) -> dict[str, float]:
    one_thread = Placement("cpu", (), threads=1)
    reference = runner(open_session(source / GRAPH, one_thread))
    candidate = run_of(compile_model(folder / MODEL, one_thread, "f32"))
    worst = require_agreement(reference, candidate, probes(read_config(source)), tolerance)
    return {"max_logit_difference": worst, "bound": tolerance}


def _property(compiled: Any, name: str) -> str:  # noqa: ANN401 -- a CompiledModel
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
