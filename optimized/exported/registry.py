"""Which variants can be exported: the files of each one's engine, or the reason why it has none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from baselines.engines.ctranslate2 import CTranslate2Variant
from baselines.engines.null import NullVariant
from baselines.engines.onnx.cuda import OnnxCudaVariant
from baselines.engines.onnx.runtime import GRAPH, OnnxVariant
from baselines.engines.openvino import OpenVinoVariant
from baselines.engines.program.external_program import ProgramVariant
from baselines.engines.pytorch import PyTorchVariant
from baselines.engines.torch_compile import RefinedVariant
from baselines.export.engines import EngineFiles, ctranslate2_engine, onnx_engine, openvino_engine
from baselines.servers.variant import ServerVariant
from harness.common.errors import UsageError
from harness.systems.interface import Artifact, Settings, Variant
from optimized.adaptive.cascade import CascadeVariant
from optimized.adaptive.early_exit.variant import ExitsVariant
from optimized.adaptive.token_dropping.variant import TokensVariant
from optimized.batching.batched import BatchedVariant
from optimized.batching.cuda_graphs import CapturedVariant
from optimized.batching.packed import PackedVariant
from optimized.exported.native import native_engine
from optimized.fastest import FastestVariant
from optimized.graphs.fused import FusedVariant
from optimized.ladders.rung import RungVariant
from optimized.native.variant import NativeVariant
from optimized.quantization.ctranslate2_int8 import CTranslate2Int8Variant
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_static import StaticInt8Variant
from optimized.quantization.onnx_tuned import MASKLESS, SessionTuning, TunedVariant
from optimized.quantization.openvino_int8 import OpenVinoInt8Variant, float_precision
from optimized.quantization.torch_int8 import CompiledInt8Variant

_PYTORCH = "it runs in PyTorch with this project's code; PyTorch loads the checkpoint itself"
_REASONS: tuple[tuple[type, str], ...] = (
    (PyTorchVariant, _PYTORCH),
    (PackedVariant, _PYTORCH),
    (CapturedVariant, _PYTORCH),
    (RefinedVariant, "its model exists only while PyTorch runs: it is compiled or quantised at each start"),
    (CompiledInt8Variant, "its model exists only while PyTorch runs: it is compiled at each start"),
    (OnnxCudaVariant, "it needs a GPU, and exported folders are checked and served on the CPU"),
    (NullVariant, "it has no model"),
    (ProgramVariant, "it is a program of your own"),
    (ServerVariant, "it is a server, which serves already"),
    (ExitsVariant, "the rule that stops at an exit runs in this project's code"),
    (TokensVariant, "the rule that drops tokens runs in this project's code"),
    (CascadeVariant, "the rule that passes a request to the next stage runs in this project's code"),
)


@dataclass(frozen=True, slots=True)
class Exporter:
    """The engine of exported variants of a class: its name, and the function that returns its files."""

    engine: str
    files: Callable[[Any, Artifact, Settings], EngineFiles]


def _tuned(variant: TunedVariant, artifact: Artifact, settings: Settings) -> EngineFiles:
    """Return the files with the session's options that were the fastest."""
    del variant, settings
    tuning = SessionTuning.of(artifact.manifest["around"])
    session = {"session.intra_op.allow_spinning": "1" if tuning.spinning else "0"}
    if not tuning.denormals:
        session["session.set_denormal_as_zero"] = "1"
    options: dict[str, Any] = {"arena": tuning.arena, "io_binding": tuning.io_binding, "session": session}
    maskless = {} if tuning.mask else {"maskless": MASKLESS}
    return onnx_engine(artifact.folder, {**options, **maskless})


def _other(variant: Variant, artifact: Artifact, settings: Settings) -> EngineFiles:
    """Return the files of a variant from elsewhere, whose artifact may have a graph."""
    del settings
    if not (artifact.folder / GRAPH).is_file():
        raise UsageError(
            f"{variant.name} cannot be exported, because its artifact has no {GRAPH}.",
            remedy="Export one of the variants that `bench list` shows with an engine.",
        )
    return onnx_engine(artifact.folder, {})


def _openvino(variant: OpenVinoVariant, artifact: Artifact, settings: Settings) -> EngineFiles:
    return openvino_engine(artifact.folder, settings, variant.precision)


_OTHER = Exporter(f"ONNX Runtime, if its artifact has {GRAPH}", _other)
_ONNX = Exporter("ONNX Runtime", lambda _, artifact, __: onnx_engine(artifact.folder, {}))
_CT2 = "CTranslate2"
_EXPORTERS: tuple[tuple[type, Exporter], ...] = (
    (OnnxVariant, _ONNX),
    (FusedVariant, _ONNX),
    (Int8Variant, _ONNX),
    (StaticInt8Variant, _ONNX),
    (TunedVariant, Exporter("ONNX Runtime", _tuned)),
    (NativeVariant, Exporter("compiled encoder", lambda _, *rest: native_engine(*rest))),
    (OpenVinoVariant, Exporter("OpenVINO", _openvino)),
    (
        OpenVinoInt8Variant,
        Exporter(
            "OpenVINO", lambda _, artifact, how: openvino_engine(artifact.folder, how, float_precision())
        ),
    ),
    (
        CTranslate2Variant,
        Exporter(_CT2, lambda _, artifact, __: ctranslate2_engine(artifact.folder, "float32")),
    ),
    (
        CTranslate2Int8Variant,
        Exporter(_CT2, lambda _, artifact, __: ctranslate2_engine(artifact.folder, "int8")),
    ),
)


def exported_engine(variant: Variant) -> str | None:
    """Return the name of the engine that an export of the variant has; None if it cannot be exported."""
    if isinstance(variant, FastestVariant):
        return "the chosen engine" if all(map(exported_engine, variant.choices)) else None
    if isinstance(variant, RungVariant | BatchedVariant):
        return exported_engine(variant.engine)
    return None if _reason(variant) else _exporter(variant).engine


def not_exported_because(variant: Variant) -> str | None:
    """Return the fact of a variant because of which it cannot be exported; None if it can be."""
    if isinstance(variant, RungVariant | BatchedVariant):
        return not_exported_because(variant.engine)
    if isinstance(variant, FastestVariant):
        names = [choice.name for choice in variant.choices if not_exported_because(choice)]
        return f"it may choose {names[0]}, which cannot" if names else None
    return _reason(variant)


def engine_files(variant: Variant, artifact: Artifact, settings: Settings) -> EngineFiles:
    """Return the files of a prepared variant's engine; UsageError if it cannot be exported."""
    if isinstance(variant, RungVariant):
        return engine_files(variant.engine, artifact, settings)
    if isinstance(
        variant, BatchedVariant
    ):  # requests are answered one at a time, where batches change nothing
        return engine_files(variant.engine, _inner(artifact), settings)
    if isinstance(variant, FastestVariant):
        return engine_files(variant.chosen(artifact), _inner(artifact), settings)
    if reason := _reason(variant):
        raise UsageError(f"{variant.name} cannot be exported, because {reason}.")
    return _exporter(variant).files(variant, artifact, settings)


def _reason(variant: Variant) -> str | None:
    return next((reason for kind, reason in _REASONS if isinstance(variant, kind)), None)


def _exporter(variant: Variant) -> Exporter:
    return next((exporter for kind, exporter in _EXPORTERS if isinstance(variant, kind)), _OTHER)


def _inner(artifact: Artifact) -> Artifact:
    """Return the artifact of the variant that another one wraps."""
    manifest = artifact.manifest["system"]
    return Artifact(artifact.folder / "system", manifest["key"], manifest)


def text_folder(artifact: Artifact) -> Artifact:
    """Return the artifact whose folder holds config.json and tokenizer.json."""
    return text_folder(_inner(artifact)) if "system" in artifact.manifest else artifact
