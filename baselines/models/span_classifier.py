"""The head for two spans (WiC, WSC): max-pool each over its tokens, concatenate, one linear layer.

The head is that of FastFormers' span classifier. transformers has none, so a checkpoint with this head is an
encoder of transformers with two more tensors, `classifier.weight` and `classifier.bias`, and an architecture
named `...ForSpanClassification`. The encoder alone loads with `AutoModel`.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

from baselines.checkpoints.folder import WEIGHTS, is_span_checkpoint, read_config, weight_files
from baselines.models import resize
from harness.common.json_types import JsonValue

SPANS = 2
"""Spans of each sequence."""


class SpanClassifier(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """An encoder with the span head; `config` is the encoder's, with the labels."""

    def __init__(self, encoder: PreTrainedModel, labels: int) -> None:
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            # this head does not read the pooled first token; SqueezeBERT calls its pooler, so None would fail
            encoder.pooler = torch.nn.Identity()
        self.encoder = encoder
        self.config = encoder.config
        self.classifier = torch.nn.Linear(SPANS * self.config.hidden_size, labels)
        torch.nn.init.normal_(self.classifier.weight, std=getattr(self.config, "initializer_range", 0.02))
        torch.nn.init.zeros_(self.classifier.bias)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.classifier.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return self.classifier.weight.dtype

    def forward(self, spans: Tensor, **inputs: Tensor) -> Tensor:
        """Return logits [sequences, labels]; `spans` holds token offsets [sequences, 2, (start, end)]."""
        hidden = self.encoder(**inputs).last_hidden_state
        logits: Tensor = self.classifier(pool_spans(hidden, spans))
        return logits

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json and the weights, those of the encoder with the prefix that transformers uses."""
        self.config.architectures = [f"{_family(self.encoder)}ForSpanClassification"]
        self.config.save_pretrained(folder)
        prefix = self.encoder.base_model_prefix
        tensors = {f"{prefix}.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        tensors |= {f"classifier.{name}": tensor for name, tensor in self.classifier.state_dict().items()}
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, Path(folder) / WEIGHTS, metadata={"format": "pt"})


def pool_spans(hidden: Tensor, spans: Tensor) -> Tensor:
    """Return the largest value of each span, spans side by side: [sequences, 2 * width].

    `hidden` is [sequences, tokens, width], `spans` token offsets [sequences, 2, (start, end)].
    """
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    inside = (positions >= spans[..., :1]) & (positions < spans[..., 1:])  # [sequences, 2, tokens]
    # the lowest finite number rather than -inf, which would become NaN for an empty span
    lowest = torch.finfo(hidden.dtype).min
    return hidden.unsqueeze(1).masked_fill(~inside.unsqueeze(-1), lowest).amax(dim=2).flatten(1)


def load_span_classifier(
    folder: Path, labels: int, **options: JsonValue
) -> tuple[SpanClassifier, dict[str, Any]]:
    """Return the model and transformers' loading information about its encoder.

    `options` are those of `from_pretrained`. The head is read if the checkpoint has one of this size;
    otherwise it is random, and `missing_keys` of the loading information names its tensors.
    """
    encoder, info = resize.load(AutoModel, folder, **options)
    model = SpanClassifier(encoder, labels)
    missing = [key for key in info["missing_keys"] if not key.startswith("pooler.")]
    head = _read_head(folder) if is_span_checkpoint(read_config(folder)) else {}
    if {name: tensor.shape for name, tensor in head.items()} == _shapes(model.classifier):
        model.classifier.load_state_dict(head)
    else:
        missing += ["classifier.weight", "classifier.bias"]
    return model, {**info, "missing_keys": missing}


def _read_head(folder: Path) -> dict[str, Tensor]:
    return {
        name.removeprefix("classifier."): tensor
        for path in weight_files(folder)
        for name, tensor in load_file(path).items()
        if name.startswith("classifier.")
    }


def _shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _family(encoder: PreTrainedModel) -> str:
    return type(encoder).__name__.removesuffix("Model")
