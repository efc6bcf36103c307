"""The part of token dropping that needs torch: the export of a graph whose length schedule is an input."""

from pathlib import Path
from typing import Any

import torch

from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import Padded, Run
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.export import OPSET, expected_warnings
from baselines.engines.onnx.runtime import GRAPH, copy_text_side
from baselines.models import classifier
from baselines.models.transformers_settings import quiet_logging, without_warnings
from harness.systems.interface import Placement, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits
from optimized.adaptive.token_dropping.budget import ALL
from optimized.adaptive.token_dropping.model import TokenDroppingModel
from optimized.adaptive.token_dropping.system import KEEP, open_tokens

_CHECKED_SHARE = 60  # hundredths at which the graph is compared with PyTorch, in addition to ALL


class _OneSequence(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """The model with positional inputs and without mask, since one sequence has no padding."""

    def __init__(self, model: TokenDroppingModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        segments = rest[0] if self.model.segments else None
        logits: torch.Tensor = self.model(ids, segments, rest[-1])
        return logits


def export(
    task: Task, source: Path, after: tuple[int, ...], max_length: int, tolerance: float, folder: Path
) -> dict[str, Any]:
    """Write the graph of the checkpoint `source` into `folder`; return fields of the manifest.

    CheckpointError if its logits differ from PyTorch's, with all tokens or with 60 %.
    """
    model = TokenDroppingModel(classifier.load_classifier(source, "eager"), after).eval()
    copy_text_side(source, folder)
    _write(model, folder / GRAPH)
    system = open_tokens(folder, task, after, ALL, Placement("cpu", (), threads=1), Settings(max_length))
    inputs = probes(read_config(folder))
    try:
        reference = classifier.runner(classifier.load_classifier(source))
        difference = require_agreement(reference, system.runner(), inputs, tolerance)
        fewer = system.keeping(_CHECKED_SHARE).runner()
        fewer_difference = require_agreement(_torch_runner(model, len(after)), fewer, inputs, tolerance)
    finally:
        system.close()
    return {
        "thinned_after": list(after),
        "exporter": "torchscript",
        "attention": "spelled out",
        "opset": OPSET,
        "agreement": {
            "max_logit_difference": difference,
            f"max_logit_difference_at_{_CHECKED_SHARE}_percent": fewer_difference,
            "bound": tolerance,
        },
    }


def _write(model: TokenDroppingModel, target: Path) -> None:
    ids = torch.full((1, 16), 5)
    inputs = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}
    if not model.segments:
        del inputs["token_type_ids"]
    dynamic = {name: {1: "sequence"} for name in inputs}
    inputs[KEEP] = torch.full((len(model.after),), ALL)
    with quiet_logging(), without_warnings(*expected_warnings()), torch.no_grad():
        torch.onnx.export(
            _OneSequence(model).eval(), tuple(inputs.values()), str(target), dynamo=False,
            opset_version=OPSET, do_constant_folding=True, input_names=list(inputs),
            output_names=["logits"], dynamic_axes=dynamic,
        )  # fmt: skip


def _torch_runner(model: TokenDroppingModel, layers: int) -> Run:
    """Return a function that runs the PyTorch model on a padded batch, with 60 % of tokens kept."""

    def run(padded: Padded) -> Logits:
        inputs = classifier.tensors_of(padded, ("input_ids", "token_type_ids", "attention_mask"))
        keep = [_CHECKED_SHARE] * layers
        with torch.inference_mode():
            output = model(inputs["input_ids"], inputs["token_type_ids"], keep, inputs["attention_mask"])
        logits: Logits = output.numpy()
        return logits

    return run
