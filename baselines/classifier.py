"""Loading checkpoints into PyTorch and running them: safetensors only, no code of the checkpoint's own."""

import inspect
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from baselines.batching import Padded, Run
from baselines.quiet import quiet_transformers
from harness.errors import CheckpointError
from harness.system import Logits

Attention = Literal["eager"] | None


def load_classifier(folder: Path, attention: Attention = None) -> Any:  # noqa: ANN401 -- transformers has no types
    """Return the float32 model in inference mode; `attention` None is the library's default kernel.

    CheckpointError if a tensor of the model, such as its head, is not in the checkpoint: transformers would
    fill it with random numbers and only mention it.
    """
    choice = {} if attention is None else {"attn_implementation": attention}
    try:
        with quiet_transformers():
            model, found = AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, **SAFE, **choice
            )
    except (ValueError, KeyError, OSError, RuntimeError) as problem:
        raise _unloadable(folder, problem) from problem
    lacking = sorted([*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])])
    if lacking:
        raise CheckpointError(
            f"tensors of the model are not in its weights: {', '.join(lacking[:4])}.",
            where=folder.name,
            remedy="Fine-tune it with `bench train`, or copy the checkpoint again.",
        )
    return model.eval()


def runner(model: Any) -> Run:  # noqa: ANN401 -- transformers has no types
    """Return the function that answers one padded batch with the model's forward pass, on its device."""
    with_segments = uses_segments(model)

    def run(padded: Padded) -> Logits:
        arrays = {"input_ids": padded.ids, "attention_mask": padded.mask}
        if with_segments:
            arrays["token_type_ids"] = padded.segments
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(array).to(model.device) for name, array in arrays.items()}
            logits: Logits = model(**inputs).logits.float().cpu().numpy()
        return logits

    return run


def uses_segments(model: Any) -> bool:  # noqa: ANN401 -- transformers has no types
    """Say whether the model tells segments apart; RoBERTa takes them, but has one segment only."""
    takes = "token_type_ids" in inspect.signature(model.forward).parameters
    return takes and getattr(model.config, "type_vocab_size", 0) > 1


def save_fast_tokenizer(folder: Path, target: Path) -> None:
    """Write the tokenizer.json that transformers derives from the vocabulary files in `folder`."""
    try:
        with quiet_transformers():
            AutoTokenizer.from_pretrained(folder, **_LOCAL).save_pretrained(target)
    except (ValueError, KeyError, OSError, ImportError) as problem:
        raise _unloadable(folder, problem) from problem
    if not (target / "tokenizer.json").is_file():
        raise CheckpointError("transformers has no fast tokenizer for it.", where=folder.name)


_LOCAL: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
SAFE: dict[str, bool] = {**_LOCAL, "use_safetensors": True}


def _unloadable(folder: Path, problem: Exception) -> CheckpointError:
    first = (str(problem).splitlines() or [type(problem).__name__])[0]
    return CheckpointError(
        f"transformers cannot load it ({first}).",
        where=folder.name,
        remedy="Check config.json and the tokenizer against the weights, or copy the checkpoint again.",
    )
