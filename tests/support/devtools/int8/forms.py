"""Static int8 of ONNX Runtime in several forms, beside the dynamic one."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from devtools.int8.subject import Subject, spaced

from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import GRAPH, OnnxVariant, copy_text_side, open_graph
from harness.systems.interface import Artifact, PreparationSources
from harness.workload.tasks.example import Logits
from optimized.graphs import transforms
from optimized.graphs.matmul_groups import matmul_groups
from optimized.quantization.onnx_static import StaticInt8Variant, calibration_inputs

LIBRARY = {"OpTypesToExcludeOutputQuantization": ["MatMul"]}


@dataclass(frozen=True, slots=True)
class Form:
    """A form of static quantisation."""

    title: str
    outputs: bool = False
    per_channel: bool = True
    products_only: bool = False


FORMS = (
    Form("static, inputs and outputs of products rounded (the library's default)", outputs=True),
    Form("inputs only"),
    Form("inputs only, one scale for a whole weight matrix", per_channel=False),
    Form("inputs only, read by products only (`onnx-int8-static`)", products_only=True),
)


def table(subject: Subject) -> Iterator[str]:
    """Yield the table."""
    yield f"| form | largest | mean | equal answers of {len(subject.answered)} |"
    yield "|---|---:|---:|---:|"
    context = tiny.preparation_context(subject.cache)
    sources = PreparationSources(tiny.checkpoint_of(subject.folder), ())
    parent = OnnxVariant().prepare(subject.task, sources, subject.settings, context)
    exact, folder = _logits(subject, parent.folder / GRAPH), subject.cache / "forms"
    copy_text_side(parent.folder, _made(folder))
    graphs = itertools.chain(
        [_dynamic(parent, folder)], (_static(subject, parent, folder, form) for form in FORMS)
    )
    for title, graph in graphs:
        changes = subject.changes(exact, _logits(subject, graph))
        yield f"| {title} | {changes.largest:.2f} | {changes.mean:.3f} | {changes.equal} |"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _logits(subject: Subject, graph: Path) -> Logits:
    system = open_graph(graph, subject.task, tiny.CPU, subject.settings, {})
    try:
        return np.concatenate([system.predict([one]).logits for one in system.encode(subject.answered)])
    finally:
        system.close()


def _dynamic(parent: Artifact, folder: Path) -> tuple[str, Path]:
    target = folder / "dynamic.onnx"
    transforms.quantise(parent.folder / GRAPH, target, reduce_range=transforms.needs_seven_bits())
    return "dynamic, for comparison", target


def _static(subject: Subject, parent: Artifact, folder: Path, form: Form) -> tuple[str, Path]:
    source, target = parent.folder / GRAPH, folder / f"{FORMS.index(form)}.onnx"
    encoder = TextEncoder(subject.folder, subject.settings.max_length)
    requests = encoder.encode(spaced(subject.training, StaticInt8Variant().calibration))
    inputs = calibration_inputs(requests, encoder.pad_id)
    reduced = transforms.needs_seven_bits()
    if form.products_only:
        transforms.quantise_static(source, target, inputs, reduce_range=reduced)
    else:
        _quantise(source, target, _Reader(source, inputs), form, reduced=reduced)
    return form.title, target


def _quantise(source: Path, target: Path, reader: Any, form: Form, *, reduced: bool) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    from baselines.models.transformers_settings import quiet_logging

    with quiet_logging():
        quantize_static(
            source,
            target,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=form.per_channel,
            reduce_range=reduced,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(matmul_groups(source)),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={} if form.outputs else LIBRARY,
        )


_Reader = transforms._CalibrationReader
