"""Classifiers in PyTorch: loading a checkpoint, safely, and running padded batches.

Weights are read from safetensors only, and code that comes with a checkpoint is never run.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import Module
from transformers import AutoModelForSequenceClassification

from baselines.checkpoints.folder import is_span_checkpoint, read_config
from baselines.checkpoints.labels import label_names
from baselines.encoding.batching import Launch, Padded, Run
from baselines.models import resize
from baselines.models.cuda import on_host, to_device
from baselines.models.span_classifier import SpanClassifier, load_span_classifier
from baselines.models.transformers_settings import quiet_transformers
from harness.common.errors import CheckpointError
from harness.workload.tasks.example import Logits

Attention = Literal["eager", "packed"] | None
"""An attention kernel: `packed` is registered when `optimized.batching.packing` is imported."""


_LAYER = re.compile(r"\.\d+\.")
"""The number of a layer in a tensor's name."""


def load_classifier(folder: Path, attention: Attention = None) -> Module:
    """Return the float32 model in inference mode; `attention` None is the library's default kernel.

    CheckpointError if a tensor of the model, such as its head, is not in the checkpoint or has another shape:
    transformers would fill it with random numbers and only log a warning. Also if the checkpoint has layers
    that the model lacks.
    """
    options = {} if attention is None else {"attn_implementation": attention}
    try:
        with quiet_transformers():
            model, info = _load(folder, {**options, "ignore_mismatched_sizes": True})
    except (ValueError, KeyError, OSError, RuntimeError, AttributeError, TypeError, ImportError) as problem:
        raise _unloadable(folder, problem) from problem
    _check_tensors(model, info, folder.name)
    return model.eval()


def _check_tensors(model: Module, info: Mapping[str, Any], where: str) -> None:
    """Raise CheckpointError unless the weights hold the tensors that config.json describes."""
    for name, *shapes in sorted(info.get("mismatched_keys", ())):
        stored, described = (" x ".join(map(str, shape)) for shape in shapes)
        raise CheckpointError(
            f"{name} is {stored} in the weights, and {described} by config.json.",
            where=where,
            remedy="Correct config.json: a head has a row for each label of id2label, and embeddings one for "
            "each token of vocab_size.",
        )
    missing = sorted(info["missing_keys"])
    if missing:
        raise CheckpointError(
            f"tensors of the model are not in its weights: {', '.join(missing[:4])}.",
            where=where,
            remedy="Fine-tune it with `bench train`, or copy the checkpoint again.",
        )
    layers = {_any_layer(name) for name, _ in model.named_parameters() if _LAYER.search(name)}
    surplus = sorted(name for name in info.get("unexpected_keys", ()) if _any_layer(name) in layers)
    if surplus:
        raise CheckpointError(
            f"its weights hold layers that config.json does not describe: {', '.join(surplus[:4])}.",
            where=where,
            remedy="Correct the number of layers in config.json, or copy the checkpoint again.",
        )


def _any_layer(name: str) -> str:
    """Return a tensor's name without the numbers of layers."""
    return _LAYER.sub(".#.", name)


def runner(model: Module) -> Run:
    """Return the function that runs the model's forward pass on a padded batch, on the model's device."""
    launch = launcher(model)

    def run(padded: Padded) -> Logits:
        return on_host([launch(padded)])()

    return run


def launcher(model: Module) -> Launch:
    """Return the same function without waiting: its float32 logits are on the model's device."""
    names = input_names(model)

    def launch(padded: Padded) -> torch.Tensor:
        with torch.inference_mode():
            device = model.device
            inputs = {name: to_device(tensor, device) for name, tensor in tensors_of(padded, names).items()}
            return logits_of(model, inputs).float()

    return launch


def input_names(model: Module) -> tuple[str, ...]:
    """Return the names of the arrays that the model reads, in the order of an exported graph's inputs."""
    segments = ("token_type_ids",) if uses_segments(model) else ()
    spans = ("spans",) if isinstance(model, SpanClassifier) else ()
    return ("input_ids", "attention_mask", *segments, *spans)


def tensors_of(padded: Padded, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the arrays of a padded batch with these names as tensors."""
    arrays = padded.arrays()
    return {name: torch.from_numpy(arrays[name]) for name in names}


def logits_of(model: Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the model's logits, from an output object or from a plain tensor."""
    output = model(**inputs)
    return output if isinstance(output, torch.Tensor) else output.logits


def uses_segments(model: Module) -> bool:
    """Return whether the model has several segments; RoBERTa accepts segment ids but has only one."""
    encoder = model.encoder if isinstance(model, SpanClassifier) else model
    accepts = "token_type_ids" in inspect.signature(encoder.forward).parameters
    return accepts and getattr(model.config, "type_vocab_size", 0) > 1


def _load(folder: Path, options: Mapping[str, Any]) -> tuple[Module, dict[str, Any]]:
    config = read_config(folder)
    if is_span_checkpoint(config):
        return load_span_classifier(folder, len(label_names(config, folder.name)), **options)
    return resize.load(AutoModelForSequenceClassification, folder, **options)


def _unloadable(folder: Path, problem: Exception) -> CheckpointError:
    first_line = (str(problem).splitlines() or [type(problem).__name__])[0]
    return CheckpointError(
        f"transformers cannot load it ({first_line}).",
        where=folder.name,
        remedy="Check config.json and the tokenizer against the weights, or copy the checkpoint again.",
    )
