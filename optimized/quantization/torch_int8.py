"""The int8 variant of PyTorch's compiler: exported, quantised by torchao for x86, compiled by Inductor.

It is PyTorch's successor of dynamic int8 (`pytorch-int8`). The quantiser is in a separate distribution,
torchao, whose import also registers the patterns of int8 products with Inductor. Scales are calibrated on
training examples; the program is compiled when it is loaded, which takes a minute the first time.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.checkpoints.artifacts import (
    cache_key,
    cpu_flags,
    find_or_make,
    library_versions,
    missing_modules,
)
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.checkpoints.optional_packages import missing_extra
from baselines.encoding.batching import Batching, Padded, Run
from baselines.encoding.tokenizer import TextEncoder, check_length, position_limit
from baselines.engines.adapter import Adapter
from baselines.engines.onnx.runtime import copy_text_side
from baselines.engines.profiles import torch_profile
from baselines.engines.pytorch import PyTorchVariant, limit_threads
from baselines.engines.torch_compile import quiet, warm_compiler, without_compiler
from baselines.models.flops import work_facts
from baselines.models.transformers_settings import quiet_logging
from harness.common.errors import DeviceError, UnsupportedError
from harness.common.json_types import JsonObject, JsonValue
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
from optimized.graphs.candidates import NO_TRIAL, CandidateTimer
from optimized.graphs.transforms import needs_seven_bits
from optimized.quantization.onnx_static import (
    calibration_facts,
    calibration_inputs,
    require_training,
    training_examples,
)

if TYPE_CHECKING:
    from types import ModuleType

    import torch

_PROGRAM = "program.pt2"
_LIBRARIES = ("torch", "transformers", "torchao")
_VERSION = 1


class CompiledInt8System(Adapter):
    """A quantised program, compiled by Inductor."""

    def __init__(
        self, run: Run, encoder: TextEncoder, batching: Batching, facts: Mapping[str, JsonValue]
    ) -> None:
        super().__init__(run, encoder, batching)
        self._facts = facts

    def describe(self) -> Mapping[str, JsonValue]:
        """Return the settings that PyTorch reports, and those of the artifact."""
        import torch

        return {
            **self._facts,
            "engine": "pytorch",
            "engine_version": torch.__version__,
            "compiled": "inductor, frozen, dynamic shapes",
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "padding": "to the longest of a call",
            "batch": self._batching.rule,
            "max_length": self._encoder.max_length,
        }

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator."""
        return torch_profile(lambda: self.predict(requests))

    def close(self) -> None:
        """Release the program."""
        del self._run


@dataclass(frozen=True, slots=True)
class CompiledInt8Variant:
    """The checkpoint exported, quantised with scales from `calibration` training examples, and compiled."""

    name: str = "pytorch-compiled-int8"
    summary: str = "torch.compile int8 (PT2E), scales from training examples, no padding (extra torchao)"
    calibration: int = 32

    def unavailable(self) -> str | None:
        """Return what is not installed, or what the machine lacks."""
        if platform.machine() not in ("x86_64", "AMD64"):
            return f"torchao's quantiser for Inductor needs an x86 CPU, got {platform.machine()}"
        return without_compiler() or missing_extra("torchao") or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Export, calibrate and quantise; CheckpointError if the answers are too far from float32's."""
        require_training(sources, self.name, self.calibration)
        checkpoint = sources.checkpoint
        config = read_config(checkpoint.folder)
        label_columns(config, task, checkpoint.name)
        check_length(config, settings.max_length)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        libraries = library_versions(*_LIBRARIES)
        parts = {**timer.key_parts(), "libraries": libraries, "calibration": self.calibration}
        parts["training"] = sources.training_sha256
        key = cache_key(self.name, _VERSION, task, [checkpoint.fingerprint], **parts)

        def make(folder: Path) -> JsonObject:
            copy_text_side(checkpoint.folder, folder)
            requests = TextEncoder(folder, settings.max_length).encode(
                training_examples(sources, self.calibration, self.name)
            )
            context.progress(f"calibrating PyTorch's int8 on {len(requests)} training examples")
            pad_id = int(config.get("pad_token_id") or 0)
            inputs = list(calibration_inputs(requests, pad_id))
            _quantise(checkpoint.folder, folder / _PROGRAM, inputs, checkpoint.name)
            return {
                "recipe": self.name,
                "version": _VERSION,
                "libraries": libraries,
                **_facts(),
                "parents": [checkpoint.fingerprint],
                "cpu": list(cpu_flags()),
                "calibration": {**calibration_facts(requests), "data_sha256": sources.training_sha256},
                **self._agreement(sources, folder, timer),
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> CompiledInt8System:
        """Compile the program for any length; DeviceError for anything but the CPU."""
        if placement.device != "cpu":
            raise DeviceError(
                f"{self.name} runs on the CPU, not on {placement.device}.", remedy="Use --device cpu."
            )
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        config = read_config(artifact.folder)
        batching = Batching(settings.batch, encoder.pad_id, label_columns(config, task, artifact.folder.name))
        run = _compile(artifact.folder / _PROGRAM)
        counts = (1, 2) if settings.batch > 1 else (1,)
        warm_compiler(run, encoder.pad_id, settings.max_length, counts, spans=task.head == "span")
        return CompiledInt8System(run, encoder, batching, {**_facts(), **work_facts(config)})

    def _agreement(self, sources: PreparationSources, folder: Path, timer: CandidateTimer) -> JsonObject:
        """Compare with plain PyTorch. Scales are fixed, so answers do not depend on the batch."""
        if not timer.trial:
            return {"agreement": NO_TRIAL}
        timer.context.progress("compiling, and comparing int8 answers with fp32")
        placement = timer.context.placement
        plain, checkpoint = PyTorchVariant("pytorch-dynamic", "", "dynamic"), sources.checkpoint.folder
        exact = plain.load(timer.task, Artifact(checkpoint, "", {}), placement, timer.settings)
        rounded = self.load(timer.task, Artifact(folder, "", {}), placement, timer.settings)
        return {"agreement": timer.require_closeness(exact, rounded)}


def _facts() -> JsonObject:
    return {
        "weights": "int8, per channel",
        "activations": "int8, scales from calibration; the rest float32",
        "reduce_range": needs_seven_bits(),
    }


def _quantise(source: Path, target: Path, inputs: Sequence[Padded], name: str) -> None:
    """Write a program that computes the checkpoint's logits with int8 products, calibrated on `inputs`."""
    import torch

    from baselines.models.classifier import input_names, load_classifier, tensors_of

    model = load_classifier(source)
    names, longest = input_names(model), position_limit(read_config(source))
    # two sequences: with one, the exporter would treat their number as a constant
    example = {name: torch.cat([tensor, tensor]) for name, tensor in tensors_of(inputs[0], names).items()}
    try:
        with quiet(), torch.no_grad():
            pt2e, x86 = _torchao()
            quantiser = x86.X86InductorQuantizer()
            quantiser.set_global(
                x86.get_default_x86_inductor_quantization_config(reduce_range=needs_seven_bits())
            )
            program = pt2e.prepare_pt2e(_export(_logits_module(model), example, longest).module(), quantiser)
            for padded in inputs:
                program(tensors_of(padded, names))
            torch.export.save(_export(pt2e.convert_pt2e(program), example, longest), target)
    except Exception as problem:  # errors of the exporter and the quantiser have no common base
        first_line = (str(problem).splitlines() or [""])[0]
        raise UnsupportedError(
            f"PyTorch cannot export and quantise it ({type(problem).__name__}: {first_line}).",
            where=name,
            remedy="Use pytorch-int8 or onnx-int8.",
        ) from problem


def _logits_module(model: "torch.nn.Module") -> "torch.nn.Module":
    """Return a module that takes a mapping of tensors and returns the model's logits."""
    import torch

    from baselines.models.classifier import logits_of

    class Logits(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
        """The model's logits from a mapping of its inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: "Mapping[str, torch.Tensor]") -> "torch.Tensor":
            """Return [sequences, labels]."""
            return logits_of(self.model, inputs)

    return Logits()


def _compile(path: Path) -> Run:
    """Return a function that answers one padded batch with the compiled program."""
    import torch
    import torch._inductor.config

    with quiet():
        _torchao()  # its import registers the program's operators, and how Inductor fuses them
        program = torch.export.load(path)
    torch._inductor.config.freezing = True  # noqa: SLF001 -- makes weights constants; it has no public name
    compiled = torch.compile(program.module(), dynamic=True)
    names = tuple(program.example_inputs[0][0])

    def run(padded: Padded) -> Logits:
        from baselines.models.classifier import tensors_of

        with torch.no_grad():
            logits: Logits = compiled(tensors_of(padded, names)).numpy()
        return logits

    return run


def _torchao() -> "tuple[ModuleType, ModuleType]":
    """Return torchao's modules for quantising exported programs and for its x86 quantiser."""
    with quiet_logging():
        from torchao.quantization.pt2e import quantize_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer

    return quantize_pt2e, x86_inductor_quantizer


def _export(
    model: "torch.nn.Module", example: "Mapping[str, torch.Tensor]", longest: int | None
) -> "torch.export.ExportedProgram":
    """Export a module of one mapping of tensors, for any number of sequences of up to `longest` tokens."""
    import torch

    rows, length = torch.export.Dim("sequences", min=1), torch.export.Dim("tokens", min=2, max=longest)
    # spans are [sequences, 2, 2]: their size does not depend on the tokens
    sizes = {name: {0: rows} if name == "spans" else {0: rows, 1: length} for name in example}
    return torch.export.export(model, (dict(example),), dynamic_shapes=(sizes,))
