"""Export of a PyTorch classifier as one ONNX graph for every length and batch size.

The exporter is the one based on TorchScript with eager attention, not the newer one based on torch.export
(docs/explanation/int8.md, "The exporter"): ONNX Runtime's transformer optimiser recognises attention only
in its graphs, it takes a tenth of the time, and XLNet has no graph without it. Tracing may make the shape
of one input a constant of the graph, so the graph is compared with PyTorch at other lengths and batch
sizes before it is kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from baselines.models.checks.finite import require_finite_weights
from baselines.models.classifier import input_names, load_classifier, logits_of
from baselines.models.transformers_settings import quiet_logging, without_warnings

OPSET = 17  # the first with LayerNormalization as one node


class _LogitsOnly(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """The classifier with positional inputs and its logits as the only output."""

    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return logits_of(self.model, dict(zip(self.names, inputs, strict=True)))


def export_classifier(folder: Path, target: Path) -> dict[str, Any]:
    """Write the checkpoint's graph to `target`; return exporter, attention, opset and input names."""
    classifier = load_classifier(folder, "eager")
    require_finite_weights(classifier, folder.name)
    names = list(input_names(classifier))
    model = _LogitsOnly(classifier, names).eval()
    inputs = example_inputs()
    example = tuple(inputs[name] for name in names)
    dynamic = {name: {0: "batch", 1: "sequence"} for name in names} | {"logits": {0: "batch"}}
    if "spans" in names:
        dynamic["spans"] = {0: "batch"}
    with quiet_logging(), without_warnings(*expected_warnings()), torch.no_grad():
        torch.onnx.export(
            model, example, str(target), dynamo=False, opset_version=OPSET, do_constant_folding=True,
            input_names=names, output_names=["logits"], dynamic_axes=dynamic,
        )  # fmt: skip
    return {"exporter": "torchscript", "attention": "eager", "opset": OPSET, "inputs": names}


def example_inputs() -> dict[str, torch.Tensor]:
    """Return a batch of 2 sequences of 16 tokens, one padded: tracing takes an axis of size 1 as constant."""
    ids = torch.full((2, 16), 5)
    mask = torch.ones_like(ids)
    mask[1, 10:] = 0
    spans = torch.tensor([[[1, 3], [5, 6]], [[2, 4], [7, 9]]])
    segments = torch.zeros_like(ids)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments, "spans": spans}


def expected_warnings() -> Sequence[tuple[type[Warning], str]]:
    """Return the warnings of the exporter and the models that need no action."""
    return (
        (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
        (DeprecationWarning, "The feature will be removed"),
        # values that tracing makes constants: the comparison with PyTorch detects wrong ones
        (torch.jit.TracerWarning, ""),
        # DeBERTa's constants
        (UserWarning, "To copy construct from a tensor"),
        # it fails for negative indices; transformers' masks have none
        (UserWarning, "Exporting aten::index operator of advanced indexing"),
    )
