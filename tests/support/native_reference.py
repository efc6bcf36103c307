"""PyTorch that rounds as the compiled encoder does: what its answers should be, and how far they may be off.

    sequence, COPIES times --> the layers, which round to the library's levels --> copy 0: the answer
    errors of float32 before each rounding, but for copy 0                     --> the others: the cost

Float32 sums in another order differ in their last digits. Where a value lies midway between two levels,
these digits decide which one it is rounded to, and the next layers carry a whole step on. How far the answer
moves then depends on the levels (255 or 127 steps), the layers, the weights and the sequence: it is measured.
"""

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import native_attention
import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file

from baselines.encoding.batching import pad
from baselines.hardware.c_program import compiler
from baselines.models.classifier import runner
from baselines.models.families import facts_of
from baselines.models.families.facts import EncoderFacts
from baselines.models.families.layers import distinct_layers
from baselines.models.span_classifier import SpanClassifier
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits
from optimized.native import build
from optimized.native.engine import Library
from optimized.native.layout import Floats, Layout
from optimized.native.smoothing import divide_inputs
from optimized.native.variant import NativeVariant
from optimized.native.weights import quantise

FLOAT_ERROR = 1e-6
"""Largest error before a rounding, as a share of the row's span: sums of some hundred products in float32."""

COPIES = 17
"""Of a sequence: the first without errors, the others with random ones."""

EXACT = 1e-4
"""Answers that differ by less than this share of the largest logit had no value rounded to another level."""

Function = Callable[[Floats], Floats]

_unavailable = NativeVariant().unavailable() or (None if compiler() else "there is no C compiler")
needs_compiler = pytest.mark.skipif(_unavailable is not None, reason=str(_unavailable))


@dataclass(frozen=True, slots=True)
class Reference:
    """Logits [sequences, labels], and how far each copy with errors moved [copies, sequences]."""

    logits: Logits
    moved: Floats

    def accepts(self, logits: Logits) -> bool:
        """Return whether the answers are as near to the reference as copies with errors are.

        The nearest answer may be off by twice as much as the nearest of any copy, the second nearest by twice
        as much as the second nearest, and so on.
        """
        differences = np.sort(np.abs(logits - self.logits).max(axis=1))
        exact = EXACT * np.abs(self.logits).max()
        return bool((differences <= exact + 2 * np.sort(self.moved).max(axis=0)).all())


def reference(
    model: Any,
    layout: Layout,
    sequences: Sequence[EncodedSequence],
    gelu: Function,
    float_error: float = FLOAT_ERROR,
) -> Reference:
    """Answer each sequence with the model; its layers are changed to round as a library of this layout."""
    answer = runner(_rounding(model, layout, gelu, float_error))
    copies = np.array([answer(pad([sequence] * COPIES, 0)) for sequence in sequences])
    return Reference(copies[:, 0], np.abs(copies - copies[:, :1])[:, 1:].max(axis=2).T)


def smoothed_like(model: Any, artifact: Path) -> Any:
    """Smooth the model's units by the factors of an artifact; its answers stay the same."""
    arrays = load_file(artifact / "encoder.safetensors")
    for number, layer in enumerate(distinct_layers(model)):
        factors = arrays.get(f"layer.{number}.up.factors")
        if factors is not None:
            divide_inputs(layer.down, 1 / factors[: layer.down.in_features])
    return model


def compile_library(target: Path, *options: str) -> Library:
    """Compile the encoder with these options, and load it."""
    command = compiler()
    assert command
    build.build(target, options, command)
    return Library(target)


def c_functions(folder: Path, *names: str) -> dict[str, Function]:
    """Compile functions of kernels/vectors.h, in plain C, into functions of arrays."""
    source, target = folder / "functions.c", folder / "functions.so"
    loop = "for (long i = 0; i < n; i += LANES) store(x + i, NAME(load(x + i)));"
    loop = f"void NAME_of(float *x, long n) {{ {loop} }}"
    source.write_text("\n".join(['#include "vectors.h"', *(loop.replace("NAME", name) for name in names)]))
    command, headers = compiler(), resources.files("optimized.native") / "kernels"
    assert command
    options = ("-O1", "-shared", "-fPIC", "-DPORTABLE=32", "-Wno-psabi", f"-I{headers}")
    subprocess.run([command, *options, str(source), "-o", str(target), "-lm"], check=True)
    library = ctypes.CDLL(str(target))

    def function(name: str) -> Function:
        def apply(values: Floats) -> Floats:
            padded = np.append(values, np.zeros(-values.size % 8, np.float32)).astype(np.float32)
            getattr(library, f"{name}_of")(ctypes.c_void_p(padded.ctypes.data), ctypes.c_long(padded.size))
            return padded[: values.size].reshape(values.shape)

        return apply

    return {name: function(name) for name in names}


def _rounding(model: Any, layout: Layout, gelu: Function, float_error: float) -> Any:
    """Let the layers round linear maps and attention as C does, and approximate GELU as C does."""
    import torch

    random = torch.Generator().manual_seed(0)
    facts = facts_of(model.config.to_dict())
    encoder = (
        model.encoder if isinstance(model, SpanClassifier) else model.get_submodule(facts.modules.prefix)
    )

    def with_errors(x: Any, span: Any) -> Any:
        errors = (2 * torch.rand(x.shape, generator=random) - 1) * float_error
        errors[0] = 0
        return x + errors * span

    def linear_in_bytes(linear: Any, inputs: npt.NDArray[np.int64]) -> Callable[[Any], Any]:
        weight = torch.from_numpy(_rounded_weight(linear.weight.detach().numpy(), inputs, layout))

        def forward(x: Any) -> Any:
            if len(x) != COPIES:  # DeBERTa's embeddings of distances, which go through the maps in float32
                return torch.nn.functional.linear(x, linear.weight, linear.bias)
            least = x.amin(-1, keepdim=True)
            span = x.amax(-1, keepdim=True) - least
            levels = torch.floor((with_errors(x, span) - least) / span * layout.activation_max + 0.5)
            return torch.nn.functional.linear(
                least + levels * (span / layout.activation_max), weight, linear.bias
            )

        return forward

    for name, head_output in _linear_names(facts):
        linear = encoder.get_submodule(name)
        inputs = np.arange(linear.in_features)
        if head_output and facts.head_size % 2:  # C gives each head one more, which is 0
            inputs += inputs // facts.head_size
        linear.forward = linear_in_bytes(linear, inputs)
    for module in encoder.modules():
        if type(module).__name__ == "GELUActivation":
            module.forward = lambda x: torch.from_numpy(gelu(x.numpy()))
    native_attention.replace(model, encoder, facts, with_errors)
    return model


def _linear_names(facts: EncoderFacts) -> list[tuple[str, bool]]:
    """Return the names of the linear maps that C rounds, and whether their inputs are heads' outputs."""
    modules, layer = facts.modules, facts.modules.layer
    kinds = ("query", "key", "value", "query_key_value", "out", "up", "gate", "gate_up", "down")
    names = [
        (f"{module}.{getattr(layer, kind)}", kind == "out")
        for module in dict.fromkeys(modules.layers)
        for kind in kinds
        if getattr(layer, kind)
    ]
    # DeBERTa's projection is multiplied into the tables of embeddings
    rounded = modules.embedding_projection and facts.disentangled is None
    return [*names, *([(modules.embedding_projection, False)] if rounded else [])]


def _rounded_weight(weight: Floats, inputs: npt.NDArray[np.int64], layout: Layout) -> Floats:
    """Round weights [outputs, inputs], of which column i is input `inputs[i]` of C's."""
    spread = np.zeros((len(weight), inputs[-1] + 1), np.float32)
    spread[:, inputs] = weight
    integers, scales = quantise(spread, layout)
    product: Floats = integers[:, inputs] * scales[:, None]
    return product
