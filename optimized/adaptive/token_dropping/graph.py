"""The part of token reduction that needs torch: the thinned model as a graph whose schedule is an input."""

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

_FEWER = 60  # hundredths at which the graph is held against PyTorch as well


class _OneSequence(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """The thinned model with positional inputs, without mask: one sequence has no padding."""

    def __init__(self, thinned: TokenDroppingModel) -> None:
        super().__init__()
        self.thinned = thinned

    def forward(self, ids: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        segments = rest[0] if self.thinned.segments else None
        found: torch.Tensor = self.thinned(ids, segments, rest[-1])
        return found


def export(
    task: Task, source: Path, after: tuple[int, ...], max_length: int, tolerance: float, folder: Path
) -> dict[str, Any]:
    """Write the graph of the checkpoint `source` into `folder`; return what the manifest says.

    CheckpointError where it does not answer as the model does, with all tokens and with fewer.
    """
    thinned = TokenDroppingModel(classifier.load_classifier(source, "eager"), after).eval()
    copy_text_side(source, folder)
    _write(thinned, folder / GRAPH)
    system = open_tokens(folder, task, after, ALL, Placement("cpu", (), threads=1), Settings(max_length))
    inputs = probes(read_config(folder))
    try:
        reference = classifier.runner(classifier.load_classifier(source))
        whole = require_agreement(reference, system.runner(), inputs, tolerance)
        thinner = system.keeping(_FEWER).runner()
        fewer = require_agreement(_row_by_row(thinned, len(after)), thinner, inputs, tolerance)
    finally:
        system.close()
    differences = {"max_logit_difference": whole, f"max_logit_difference_at_{_FEWER}_percent": fewer}
    return {
        "thinned_after": list(after),
        "exporter": "torchscript",
        "attention": "spelled out",
        "opset": OPSET,
        "agreement": {**differences, "bound": tolerance},
    }


def _write(thinned: TokenDroppingModel, target: Path) -> None:
    ids = torch.full((1, 16), 5)
    given = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}
    if not thinned.segments:
        del given["token_type_ids"]
    dynamic = {name: {1: "sequence"} for name in given}
    given[KEEP] = torch.full((len(thinned.after),), ALL)
    with quiet_logging(), without_warnings(*expected_warnings()), torch.no_grad():
        torch.onnx.export(
            _OneSequence(thinned).eval(), tuple(given.values()), str(target), dynamo=False,
            opset_version=OPSET, do_constant_folding=True, input_names=list(given),
            output_names=["logits"], dynamic_axes=dynamic,
        )  # fmt: skip


def _row_by_row(thinned: TokenDroppingModel, layers: int) -> Run:
    """Return the thinned model in PyTorch as what answers a padded batch, with fewer tokens."""

    def run(padded: Padded) -> Logits:
        inputs = classifier.tensors_of(padded, ("input_ids", "token_type_ids", "attention_mask"))
        with torch.inference_mode():
            keep = [_FEWER] * layers
            found = thinned(inputs["input_ids"], inputs["token_type_ids"], keep, inputs["attention_mask"])
        logits: Logits = found.numpy()
        return logits

    return run
