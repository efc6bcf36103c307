"""The part of early exit that needs torch: training of the exit heads and export of the stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from baselines.checkpoints.folder import read_config
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.agreement import probes, require_agreement
from baselines.engines.onnx.export import OPSET, example_inputs, expected_warnings
from baselines.engines.onnx.runtime import copy_text_side
from baselines.models import classifier
from baselines.models.families.layers import encoder_of
from baselines.models.shape import shape_of
from baselines.models.transformers_settings import quiet_logging, without_warnings
from harness.systems.interface import Checkpoint, Placement, Settings, sequences_of
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.early_exit import exit_heads
from optimized.adaptive.early_exit.staged_system import HIDDEN, open_stages, stage_files
from optimized.recipes.resumable import TrainingSession


@dataclass(frozen=True, slots=True)
class HeadTraining:
    """The training of exit heads after the layers `exits` of a checkpoint.

    `tolerance` bounds the difference of a logit between all stages and the whole model in PyTorch.
    """

    task: Task
    checkpoint: Checkpoint
    exits: tuple[int, ...]
    examples: Sequence[Example]
    max_length: int
    steps: int
    seed: int
    tolerance: float


def make(training: HeadTraining, session: TrainingSession, folder: Path) -> dict[str, Any]:
    """Train the heads and write every stage into `folder`; return fields of the manifest.

    CheckpointError if the stages together do not give the logits of the checkpoint.
    """
    source = training.checkpoint.folder
    model = classifier.load_classifier(source, "eager")
    stages = exit_heads.split_at_exits(model, training.exits)
    losses = _train_heads(training, stages, session)
    copy_text_side(source, folder)
    depths = (*training.exits, shape_of(read_config(source)).layers)
    for stage, path in zip(stages, stage_files(folder, depths), strict=True):
        _export(stage.eval(), path, int(encoder_of(model).config.hidden_size))
    return {
        "exits": list(training.exits),
        "depths": list(depths),
        "training": {
            "examples": len(training.examples),
            "steps": training.steps,
            "seed": training.seed,
            "loss": losses,
            "loss_is": "KL divergence from the last layer's answers, before and after, by exit",
        },
        "exporter": "torchscript",
        "attention": "eager",
        "opset": OPSET,
        "agreement": _check_agreement(training, folder, depths),
    }


def _train_heads(
    training: HeadTraining, stages: Sequence[exit_heads.ExitStage], session: TrainingSession
) -> dict[str, list[float]]:
    """Train every head but the last; return its loss before and after, by depth."""
    encoder = TextEncoder(training.checkpoint.folder, training.max_length)
    sequences = list(sequences_of(encoder.encode(training.examples)))
    vectors, logits = exit_heads.compute_head_inputs(
        stages,
        sequences,
        encoder.pad_id,
        lambda fraction: session.report("inputs of every exit head", fraction),
    )
    losses = {}
    for stage, inputs in zip(stages, vectors, strict=False):
        both = exit_heads.train(stage.head, inputs, logits, steps=training.steps, seed=training.seed)
        losses[str(stage.depth)] = [round(loss, 6) for loss in both]
    return losses


def _export(stage: exit_heads.ExitStage, target: Path, width: int) -> None:
    inputs = example_inputs()
    inputs[HIDDEN] = torch.randn(*inputs["input_ids"].shape, width)
    outputs = ["logits"] if stage.last else ["logits", HIDDEN + "_out"]
    axes = {name: {0: "batch", 1: "sequence"} for name in (*stage.names, HIDDEN + "_out")}
    axes |= {"spans": {0: "batch"}, "logits": {0: "batch"}}
    dynamic = {name: names for name, names in axes.items() if name in (*stage.names, *outputs)}
    with quiet_logging(), without_warnings(*expected_warnings()), torch.no_grad():
        torch.onnx.export(
            stage, tuple(inputs[name] for name in stage.names), str(target), dynamo=False,
            opset_version=OPSET, do_constant_folding=True, input_names=list(stage.names),
            output_names=outputs, dynamic_axes=dynamic,
        )  # fmt: skip


def _check_agreement(training: HeadTraining, folder: Path, depths: Sequence[int]) -> dict[str, Any]:
    """Compare all stages in order with the whole model in the library's default attention."""
    inputs = probes(read_config(folder))
    settings = Settings(max_length=training.max_length)
    placement = Placement("cpu", (), threads=1)
    system = open_stages(folder, training.task, depths, [], placement, settings)
    try:
        reference = classifier.runner(classifier.load_classifier(training.checkpoint.folder))
        difference = require_agreement(reference, system.runner(), inputs, training.tolerance)
    finally:
        system.close()
    shapes = [list(padded.ids.shape) for padded in inputs]
    return {"max_logit_difference": difference, "bound": training.tolerance, "shapes": shapes}
