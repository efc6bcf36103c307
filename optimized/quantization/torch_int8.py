"""Int8 in PyTorch's own compiler: the exported program, quantised by torchao for x86, compiled by Inductor.

PyTorch's successor of its dynamic int8 (`pytorch-int8`). The quantiser left torch for a distribution of its
own, torchao, whose import also teaches Inductor which patterns are int8 products. Scales come from training
examples; the program is compiled when it is loaded, which takes a minute the first time.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from harness.common.errors import CheckpointError, DeviceError
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
from optimized.graphs.candidates import CandidateTimer
from optimized.graphs.closeness import require_closeness
from optimized.graphs.transforms import needs_seven_bits
from optimized.quantization.onnx_static import calibration_facts, calls, require_training, training_examples

_PROGRAM = "program.pt2"
_LIBRARIES = ("torch", "transformers", "torchao")
_VERSION = 1


class CompiledInt8System(Adapter):
    """A quantised program behind Inductor."""

    def __init__(self, run: Run, encoder: TextEncoder, batching: Batching, facts: Mapping[str, Any]) -> None:
        super().__init__(run, encoder, batching)
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Read back what PyTorch uses, and how often Inductor found an int8 product to fuse."""
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
        """Say what is not installed, or what the machine lacks."""
        if platform.machine() not in ("x86_64", "AMD64"):
            return f"torchao's quantiser for Inductor is for x86, and this is {platform.machine()}"
        return without_compiler() or missing_extra("torchao") or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Export, calibrate and quantise; one whose answers are not the model's is refused."""
        require_training(sources, self.name, self.calibration)
        checkpoint = sources.checkpoint
        config = read_config(checkpoint.folder)
        label_columns(config, task, checkpoint.name)
        check_length(config, settings.max_length)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        libraries = library_versions(*_LIBRARIES)
        parts = {**bench.key_parts(), "libraries": libraries, "calibration": self.calibration}
        parts["training"] = sources.training_sha256
        key = cache_key(self.name, _VERSION, task, [checkpoint.fingerprint], **parts)

        def make(folder: Path) -> dict[str, Any]:
            copy_text_side(checkpoint.folder, folder)
            requests = TextEncoder(folder, settings.max_length).encode(
                training_examples(sources, self.calibration, self.name)
            )
            workshop.progress(f"calibrating PyTorch's int8 on {len(requests)} training examples")
            pad_id = int(config.get("pad_token_id") or 0)
            _quantise(checkpoint.folder, folder / _PROGRAM, list(calls(requests, pad_id)), checkpoint.name)
            named = {"recipe": self.name, "version": _VERSION, "libraries": libraries}
            used = {**calibration_facts(requests), "data_sha256": sources.training_sha256}
            facts = {**_facts(), "parents": [checkpoint.fingerprint], "cpu": list(cpu_flags())}
            return {**named, **facts, "calibration": used, **self._agreement(sources, folder, bench)}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> CompiledInt8System:
        """Compile the program for lengths of any kind; DeviceError for anything but the CPU."""
        if placement.device != "cpu":
            raise DeviceError(
                f"{self.name} runs on the CPU, not on {placement.device}.", remedy="Use --device cpu."
            )
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        config = read_config(artifact.folder)
        batching = Batching(settings.batch, encoder.pad_id, label_columns(config, task, artifact.folder.name))
        run = _compiled(artifact.folder / _PROGRAM)
        together = (1, 2) if settings.batch > 1 else (1,)
        warm_compiler(run, encoder.pad_id, settings.max_length, together, spans=task.head == "span")
        return CompiledInt8System(run, encoder, batching, {**_facts(), **work_facts(config)})

    def _agreement(self, sources: PreparationSources, folder: Path, bench: CandidateTimer) -> dict[str, Any]:
        """Hold the compiled program against plain PyTorch. Scales do not move: batches change nothing."""
        if not bench.trial:
            return {"agreement": "unavailable, because there were no trial examples"}
        bench.workshop.progress("compiling, and comparing int8 answers with fp32")
        place = bench.workshop.placement
        plain = PyTorchVariant("pytorch-dynamic", "", "dynamic")
        exact = plain.load(bench.task, Artifact(sources.checkpoint.folder, "", {}), place, bench.settings)
        rounded = self.load(bench.task, Artifact(folder, "", {}), place, bench.settings)
        return {"agreement": require_closeness(bench.task, exact, rounded, bench.trial, self.name)}


def _facts() -> dict[str, Any]:
    return {
        "weights": "int8, per channel",
        "activations": "int8, scales from calibration; the rest float32",
        "reduce_range": needs_seven_bits(),
    }


def _quantise(source: Path, target: Path, served: Sequence[Padded], name: str) -> None:
    """Write the program that computes the checkpoint's logits with int8 products."""
    import torch

    from baselines.models.classifier import input_names, load_classifier, tensors_of

    model = load_classifier(source)
    names, longest = input_names(model), position_limit(read_config(source))
    # two sequences: with one, the number of them would be taken for a constant
    example = {name: torch.cat([tensor, tensor]) for name, tensor in tensors_of(served[0], names).items()}
    try:
        with quiet(), torch.no_grad():
            pt2e, x86 = _torchao()
            quantiser = x86.X86InductorQuantizer()
            quantiser.set_global(
                x86.get_default_x86_inductor_quantization_config(reduce_range=needs_seven_bits())
            )
            program = pt2e.prepare_pt2e(_export(_logits_of(model), example, longest).module(), quantiser)
            for padded in served:
                program(tensors_of(padded, names))
            torch.export.save(_export(pt2e.convert_pt2e(program), example, longest), target)
    except Exception as problem:  # the exporter's and the quantiser's errors have no base of their own
        first = (str(problem).splitlines() or [""])[0]
        raise CheckpointError(
            f"PyTorch cannot export and quantise it ({type(problem).__name__}: {first}).",
            where=name,
            remedy="Use pytorch-int8 or onnx-int8.",
        ) from problem


def _logits_of(model: Any) -> Any:  # noqa: ANN401 -- a Module that takes a mapping of tensors
    import torch

    from baselines.models.classifier import logits_of

    class Logits(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
        """The model's logits."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: Mapping[str, Any]) -> Any:  # noqa: ANN401
            """Return [sequences, labels]."""
            return logits_of(self.model, inputs)

    return Logits()


def _compiled(path: Path) -> Run:
    """Return the program, compiled, as the function that answers one padded batch."""
    import torch
    import torch._inductor.config

    with quiet():
        _torchao()  # its import registers what the program's operators are, and how Inductor fuses them
        program = torch.export.load(path)
    torch._inductor.config.freezing = True  # noqa: SLF001 -- weights become constants; it has no public name
    compiled = torch.compile(program.module(), dynamic=True)
    names = tuple(program.example_inputs[0][0])

    def run(padded: Padded) -> Logits:
        from baselines.models.classifier import tensors_of

        with torch.no_grad():
            logits: Logits = compiled(tensors_of(padded, names)).numpy()
        return logits

    return run


def _torchao() -> tuple[Any, Any]:
    """Return torchao's module that quantises exported programs, and its quantiser's module for x86."""
    with quiet_logging():
        from torchao.quantization.pt2e import quantize_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer

    return quantize_pt2e, x86_inductor_quantizer


def _export(model: Any, example: Mapping[str, Any], longest: int | None) -> Any:  # noqa: ANN401 -- a Module to an ExportedProgram
    """Export what takes one mapping of tensors, for any number of sequences of any length up to `longest`."""
    import torch

    rows, length = torch.export.Dim("sequences", min=1), torch.export.Dim("tokens", min=2, max=longest)
    # spans are [sequences, 2, 2]: they do not grow with the tokens
    sizes = {name: {0: rows} if name == "spans" else {0: rows, 1: length} for name in example}
    return torch.export.export(model, (dict(example),), dynamic_shapes=(sizes,))
