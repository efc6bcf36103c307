"""The int8 variant of OpenVINO: calibrated by NNCF, other operators in bfloat16 where the CPU has it.

With NNCF's `ModelType.TRANSFORMER` sensitive operators stay in float. Calibration uses training examples of
the lengths that are served: calibrated on other lengths, answers differ more from float32's.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from baselines.checkpoints.artifacts import cache_key, cpu_flags, cpu_has_bf16, find_or_make, library_versions
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import OnnxVariant, copy_text_side
from baselines.engines.openvino import (
    MODEL,
    Hint,
    OpenVinoSystem,
    OpenVinoVariant,
    Precision,
    load_openvino,
    open_model,
    save_model,
)
from baselines.models.transformers_settings import quiet_logging
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.graphs.candidates import CandidateTimer, Opener, compare_with_fp32
from optimized.quantization.onnx_static import (
    calibration_facts,
    calibration_inputs,
    require_training,
    training_examples,
)

_RECIPE = "openvino-int8"
"""The same for all variants: the performance hint is not part of the artifact."""

_VERSION = 1
_LIBRARIES = ("openvino", "nncf")


@dataclass(frozen=True, slots=True)
class OpenVinoInt8Variant:
    """The exported graph quantised by NNCF with scales from `calibration` training examples."""

    name: str = "openvino-int8"
    summary: str = "OpenVINO int8 with scales from training examples, rest bf16 or fp32 (extra openvino)"
    parent: OpenVinoVariant = field(
        default_factory=lambda: OpenVinoVariant("openvino-fp32", "", "f32", OnnxVariant())
    )
    calibration: int = 64
    hint: Hint = "LATENCY"

    def unavailable(self) -> str | None:
        """Return what is not installed."""
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Calibrate and quantise the converted model; DataError without training examples."""
        require_training(sources, self.name, self.calibration)
        parent = self.parent.prepare(task, sources, settings, context)
        libraries = library_versions(*_LIBRARIES)
        shared = {"libraries": libraries, "cpu": cpu_flags(), "max_length": settings.max_length}
        data = {"calibration": self.calibration, "training": sources.training_sha256}
        key = cache_key(_RECIPE, _VERSION, task, [parent.key], **shared, **data)
        examples = training_examples(sources, self.calibration, self.name)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)

        def make(folder: Path) -> JsonObject:
            return {
                "recipe": _RECIPE,
                "version": _VERSION,
                "parents": [parent.key],
                "libraries": libraries,
                "cpu": list(cpu_flags()),
                **_calibrate(parent, folder, timer, examples, sources.training_sha256),
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> OpenVinoSystem:
        """Compile the model; DeviceError for anything but the CPU."""
        return open_model(artifact, task, placement, settings, float_precision(), self.hint)


def load_nncf() -> ModuleType:
    """Import nncf with its telemetry switched off."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ.setdefault("NNCF_CI", "1")  # nncf's own switch against telemetry
    with quiet_logging():
        import nncf

    module: ModuleType = nncf
    return module


def _calibrate(
    parent: Artifact, folder: Path, timer: CandidateTimer, examples: Sequence[Example], training_sha256: str
) -> JsonObject:
    copy_text_side(parent.folder, folder)
    encoder = TextEncoder(parent.folder, timer.settings.max_length)
    requests = encoder.encode(examples)
    timer.context.progress(f"calibrating OpenVINO int8 on {len(requests)} training examples")
    nncf = load_nncf()
    model = load_openvino().Core().read_model(parent.folder / MODEL)
    names = [tensor.get_any_name() for tensor in model.inputs]
    inputs = [
        {name: padded.arrays()[name] for name in names}
        for padded in calibration_inputs(requests, encoder.pad_id)
    ]
    with quiet_logging():
        quantised = nncf.quantize(
            model,
            nncf.Dataset(inputs),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
        )
    save_model(quantised, folder / MODEL)
    return {
        "weights": "int8, per channel",
        "activations": f"int8, scales from calibration; the rest {float_precision()}",
        "calibration": {**calibration_facts(requests), "data_sha256": training_sha256},
        **_against_fp32(parent, folder, timer),
    }


def _against_fp32(parent: Artifact, folder: Path, timer: CandidateTimer) -> JsonObject:
    """Compare answers with the float32 model's, and with themselves in batches, for the manifest."""

    def opener(artifact: Artifact, precision: Precision) -> Opener:
        placement = timer.context.placement
        return lambda settings: open_model(artifact, timer.task, placement, settings, precision)

    return compare_with_fp32(
        timer, opener(parent, "f32"), opener(Artifact(folder, "", {}), float_precision())
    )


def float_precision() -> Precision:
    """Return the precision of operators that are not int8: bfloat16 where the CPU has it."""
    return "bf16" if cpu_has_bf16() else "f32"
