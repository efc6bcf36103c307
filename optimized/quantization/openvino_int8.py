"""Int8 in OpenVINO: scales from calibration by NNCF, the rest in bfloat16 where the CPU has it.

The quantiser is told that the model is a transformer, which keeps what is sensitive in float (NNCF's
`ModelType.TRANSFORMER`). Calibration uses training examples of the lengths that are served: calibrated on
other lengths, answers drift.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.graphs.candidates import CandidateTimer, Opener, closeness
from optimized.quantization.onnx_static import calibration_facts, calls, require_training, training_examples

_RECIPE = "openvino-int8"
"""Whatever a variant is called: how requests are taken is no part of the artifact."""

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
        """Say what is not installed."""
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Calibrate and quantise the converted model; DataError without training examples."""
        require_training(sources, self.name, self.calibration)
        parent = self.parent.prepare(task, sources, settings, workshop)
        libraries = library_versions(*_LIBRARIES)
        shared = {"libraries": libraries, "cpu": cpu_flags(), "max_length": settings.max_length}
        drawn = {"calibration": self.calibration, "training": sources.training_sha256}
        key = cache_key(_RECIPE, _VERSION, task, [parent.key], **shared, **drawn)
        examples = training_examples(sources, self.calibration, self.name)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)

        def make(folder: Path) -> dict[str, Any]:
            facts = _calibrate(parent, folder, bench, examples, sources.training_sha256)
            named = {
                "recipe": _RECIPE,
                "version": _VERSION,
                "parents": [parent.key],
                "libraries": libraries,
            }
            return {**named, "cpu": list(cpu_flags()), **facts}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> OpenVinoSystem:
        """Compile the model; DeviceError for anything but the CPU."""
        return open_model(artifact, task, placement, settings, _rest(), self.hint)


def load_nncf() -> Any:  # noqa: ANN401 -- a module
    """Return the module nncf, with its telemetry switched off before it loads."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ.setdefault("NNCF_CI", "1")  # its own switch for machines that must not report
    with quiet_logging():
        import nncf

    return nncf


def _calibrate(
    parent: Artifact, folder: Path, bench: CandidateTimer, examples: Sequence[Example], training_sha256: str
) -> dict[str, Any]:
    copy_text_side(parent.folder, folder)
    encoder = TextEncoder(parent.folder, bench.settings.max_length)
    requests = encoder.encode(examples)
    bench.workshop.progress(f"calibrating OpenVINO int8 on {len(requests)} training examples")
    nncf = load_nncf()
    model = load_openvino().Core().read_model(parent.folder / MODEL)
    names = [each.get_any_name() for each in model.inputs]
    served = [{name: padded.arrays()[name] for name in names} for padded in calls(requests, encoder.pad_id)]
    with quiet_logging():
        quantised = nncf.quantize(
            model,
            nncf.Dataset(served),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(served),
        )
    save_model(quantised, folder / MODEL)
    return {
        "weights": "int8, per channel",
        "activations": f"int8, scales from calibration; the rest {_rest()}",
        "calibration": {**calibration_facts(requests), "data_sha256": training_sha256},
        **_against_fp32(parent, folder, bench),
    }


def _against_fp32(parent: Artifact, folder: Path, bench: CandidateTimer) -> dict[str, Any]:
    """Compare answers with those of the float32 model, and with its own in batches, for the manifest."""

    def opener(artifact: Artifact, precision: Precision) -> Opener:
        place = bench.workshop.placement
        return lambda settings: open_model(artifact, bench.task, place, settings, precision)

    return closeness(bench, opener(parent, "f32"), opener(Artifact(folder, "", {}), _rest()))


def _rest() -> Precision:
    """Return the precision of what is not int8: bfloat16 where the CPU computes in it."""
    return "bf16" if cpu_has_bf16() else "f32"
