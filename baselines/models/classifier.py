"""Loading checkpoints into PyTorch and running them: safetensors only, no code of the checkpoint's own."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from baselines.checkpoints.folder import is_span_checkpoint, read_config
from baselines.encoding.batching import Launch, Padded, Run
from baselines.models import resize
from baselines.models.cuda import on_host, to_device
from baselines.models.span_classifier import SpanClassifier, load_span_classifier
from baselines.models.transformers_settings import LOCAL, quiet_transformers
from harness.common.errors import CheckpointError
from harness.workload.tasks.example import Logits

Attention = Literal["eager", "packed"] | None
"""`packed` is ours (optimized/batching/packing.py), and is there once that is imported."""


def load_classifier(folder: Path, attention: Attention = None) -> Any:  # noqa: ANN401 -- transformers has no types
    """Return the float32 model in inference mode; `attention` None is the library's default kernel.

    CheckpointError if a tensor of the model, such as its head, is not in the checkpoint: transformers would
    fill it with random numbers and only mention it.
    """
    choice = {} if attention is None else {"attn_implementation": attention}
    try:
        with quiet_transformers():
            model, found = _loaded(folder, choice)
    except (ValueError, KeyError, OSError, RuntimeError) as problem:
        raise _unloadable(folder, problem) from problem
    lacking = sorted([*found["missing_keys"], *(key for key, *_ in found.get("mismatched_keys", ()))])
    if lacking:
        raise CheckpointError(
            f"tensors of the model are not in its weights: {', '.join(lacking[:4])}.",
            where=folder.name,
            remedy="Fine-tune it with `bench train`, or copy the checkpoint again.",
        )
    return model.eval()


def runner(model: Any) -> Run:  # noqa: ANN401 -- transformers has no types
    """Return the function that answers one padded batch with the model's forward pass, on its device."""
    launch = launcher(model)

    def run(padded: Padded) -> Logits:
        return on_host([launch(padded)])()

    return run


def launcher(model: Any) -> Launch:  # noqa: ANN401 -- transformers has no types
    """Return the same function without the wait: its logits, float32, are on the model's device."""
    names = input_names(model)

    def launch(padded: Padded) -> torch.Tensor:
        with torch.inference_mode():
            device = model.device
            inputs = {name: to_device(tensor, device) for name, tensor in tensors_of(padded, names).items()}
            return logits_of(model, inputs).float()

    return launch


def input_names(model: Any) -> tuple[str, ...]:  # noqa: ANN401 -- transformers has no types
    """Return the names of the arrays that the model reads, in the order of an exported graph's inputs."""
    segments = ("token_type_ids",) if uses_segments(model) else ()
    spans = ("spans",) if isinstance(model, SpanClassifier) else ()
    return ("input_ids", "attention_mask", *segments, *spans)


def tensors_of(padded: Padded, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return a padded batch as the tensors of these names."""
    arrays = padded.arrays()
    return {name: torch.from_numpy(arrays[name]) for name in names}


def logits_of(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:  # noqa: ANN401
    """Return the model's logits, whatever it wraps them in."""
    found = model(**inputs)
    return found if isinstance(found, torch.Tensor) else found.logits


def uses_segments(model: Any) -> bool:  # noqa: ANN401 -- transformers has no types
    """Say whether the model tells segments apart; RoBERTa takes them, but has one segment only."""
    reads = model.encoder if isinstance(model, SpanClassifier) else model
    takes = "token_type_ids" in inspect.signature(reads.forward).parameters
    return takes and getattr(model.config, "type_vocab_size", 0) > 1


def _loaded(folder: Path, choice: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    config = read_config(folder)
    if is_span_checkpoint(config):
        return load_span_classifier(folder, len(config["id2label"]), **choice)
    return resize.load(AutoModelForSequenceClassification, folder, **choice)


def save_fast_tokenizer(folder: Path, target: Path) -> None:
    """Write the tokenizer.json that transformers derives from the vocabulary files in `folder`."""
    try:
        with quiet_transformers():
            AutoTokenizer.from_pretrained(folder, **LOCAL).save_pretrained(target)
    except (ValueError, KeyError, OSError, ImportError) as problem:
        raise _unloadable(folder, problem) from problem
    if not (target / "tokenizer.json").is_file():
        raise CheckpointError("transformers has no fast tokenizer for it.", where=folder.name)


def _unloadable(folder: Path, problem: Exception) -> CheckpointError:
    first = (str(problem).splitlines() or [type(problem).__name__])[0]
    return CheckpointError(
        f"transformers cannot load it ({first}).",
        where=folder.name,
        remedy="Check config.json and the tokenizer against the weights, or copy the checkpoint again.",
    )
