"""The head for two spans: max-pool each over its tokens, concatenate, one linear layer (WiC, WSC).

As in FastFormers' span classifier. transformers has no such head, so its checkpoints are an encoder of
transformers with two more tensors, `classifier.weight` and `classifier.bias`, and an architecture of the name
`...ForSpanClassification`; the encoder alone loads with `AutoModel`.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from baselines.checkpoints.folder import WEIGHTS, is_span_checkpoint, read_config, weight_files
from baselines.models import resize

SPANS = 2  # a sequence


class SpanClassifier(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """An encoder with the span head; `config` is the encoder's, with the labels."""

    def __init__(self, encoder: Any, labels: int) -> None:  # noqa: ANN401 -- transformers has no types
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            # it reads the first token only, which this head does not; not None, which SqueezeBERT would call
            encoder.pooler = torch.nn.Identity()
        self.encoder = encoder
        self.config = encoder.config
        self.classifier = torch.nn.Linear(SPANS * self.config.hidden_size, labels)
        torch.nn.init.normal_(self.classifier.weight, std=getattr(self.config, "initializer_range", 0.02))
        torch.nn.init.zeros_(self.classifier.bias)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.classifier.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes with."""
        return self.classifier.weight.dtype

    def forward(self, spans: Tensor, **inputs: Tensor) -> Tensor:
        """Return logits [sequences, labels]; `spans` holds token offsets [sequences, 2, (start, end)]."""
        hidden = self.encoder(**inputs).last_hidden_state
        logits: Tensor = self.classifier(pool_spans(hidden, spans))
        return logits

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json and weights, the encoder's under its own prefix, as transformers names them."""
        self.config.architectures = [f"{_family(self.encoder)}ForSpanClassification"]
        self.config.save_pretrained(folder)
        prefix = self.encoder.base_model_prefix
        tensors = {f"{prefix}.{name}": tensor for name, tensor in self.encoder.state_dict().items()}
        tensors |= {f"classifier.{name}": tensor for name, tensor in self.classifier.state_dict().items()}
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(whole, Path(folder) / WEIGHTS, metadata={"format": "pt"})


def pool_spans(hidden: Tensor, spans: Tensor) -> Tensor:
    """Return the largest value in each span, its spans side by side: [sequences, 2 * width].

    `hidden` is [sequences, tokens, width], `spans` token offsets [sequences, 2, (start, end)].
    """
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    inside = (positions >= spans[..., :1]) & (positions < spans[..., 1:])  # [sequences, 2, tokens]
    # the least finite number rather than -inf: an empty span then gives no NaN
    least = torch.finfo(hidden.dtype).min
    return hidden.unsqueeze(1).masked_fill(~inside.unsqueeze(-1), least).amax(dim=2).flatten(1)


def load_span_classifier(folder: Path, labels: int, **choice: Any) -> tuple[SpanClassifier, dict[str, Any]]:  # noqa: ANN401
    """Return the model and transformers' loading information on its encoder.

    The head is read where the checkpoint has one of this size, and fresh otherwise: `missing_keys` names it.
    """
    encoder, found = resize.load(AutoModel, folder, **choice)
    model = SpanClassifier(encoder, labels)
    missing = [key for key in found["missing_keys"] if not key.startswith("pooler.")]
    head = _head(folder) if is_span_checkpoint(read_config(folder)) else {}
    if {name: tensor.shape for name, tensor in head.items()} == _shapes(model.classifier):
        model.classifier.load_state_dict(head)
    else:
        missing += ["classifier.weight", "classifier.bias"]
    return model, {**found, "missing_keys": missing}


def _head(folder: Path) -> dict[str, Tensor]:
    return {
        name.removeprefix("classifier."): tensor
        for path in weight_files(folder)
        for name, tensor in load_file(path).items()
        if name.startswith("classifier.")
    }


def _shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _family(encoder: Any) -> str:  # noqa: ANN401 -- transformers has no types
    return type(encoder).__name__.removesuffix("Model")
