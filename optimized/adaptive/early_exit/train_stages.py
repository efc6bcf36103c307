"""The part of early exit that needs torch: heads trained on a checkpoint, its stages written as graphs."""

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
from baselines.models.resize import encoder_of
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
    """What heads learn from: a checkpoint, after which of its layers they stand, texts, and for how long."""

    task: Task
    checkpoint: Checkpoint
    exits: tuple[int, ...]
    examples: Sequence[Example]
    max_length: int
    steps: int
    seed: int
    tolerance: float


def make(lesson: HeadTraining, session: TrainingSession, folder: Path) -> dict[str, Any]:
    """Train the heads, write every stage into `folder`, and return what the manifest says of both.

    CheckpointError where all stages together do not answer as the checkpoint does.
    """
    source = lesson.checkpoint.folder
    model = classifier.load_classifier(source, "eager")
    stages = exit_heads.cut(model, lesson.exits)
    losses = _taught(lesson, stages, session)
    copy_text_side(source, folder)
    depths = (*lesson.exits, shape_of(read_config(source)).layers)
    for stage, path in zip(stages, stage_files(folder, depths), strict=True):
        _write(stage.eval(), path, int(encoder_of(model).config.hidden_size))
    return {
        "exits": list(lesson.exits),
        "depths": list(depths),
        "training": {
            "examples": len(lesson.examples),
            "steps": lesson.steps,
            "seed": lesson.seed,
            "loss": losses,
            "loss_is": "KL divergence from the last layer's answers, before and after, by exit",
        },
        "exporter": "torchscript",
        "attention": "eager",
        "opset": OPSET,
        "agreement": _agreement(lesson, folder, depths),
    }


def _taught(
    lesson: HeadTraining, stages: Sequence[exit_heads.ExitStage], session: TrainingSession
) -> dict[str, list[float]]:
    encoder = TextEncoder(lesson.checkpoint.folder, lesson.max_length)
    sequences = list(sequences_of(encoder.encode(lesson.examples)))
    read, wanted = exit_heads.watch(
        stages, sequences, encoder.pad_id, lambda share: session.report("states of every exit", share)
    )
    found = {}
    for stage, mine in zip(stages, read, strict=False):
        losses = exit_heads.train(stage.head, mine, wanted, steps=lesson.steps, seed=lesson.seed)
        found[str(stage.depth)] = [round(each, 6) for each in losses]
    return found


def _write(stage: exit_heads.ExitStage, target: Path, width: int) -> None:
    known = example_inputs()
    known[HIDDEN] = torch.randn(*known["input_ids"].shape, width)
    outputs = ["logits"] if stage.last else ["logits", HIDDEN + "_out"]
    dynamic = {name: {0: "batch", 1: "sequence"} for name in (*stage.names, HIDDEN + "_out")}
    dynamic |= {"spans": {0: "batch"}, "logits": {0: "batch"}}
    used = {name: axes for name, axes in dynamic.items() if name in (*stage.names, *outputs)}
    with quiet_logging(), without_warnings(*expected_warnings()), torch.no_grad():
        torch.onnx.export(
            stage, tuple(known[name] for name in stage.names), str(target), dynamo=False,
            opset_version=OPSET, do_constant_folding=True, input_names=list(stage.names),
            output_names=outputs, dynamic_axes=used,
        )  # fmt: skip


def _agreement(lesson: HeadTraining, folder: Path, depths: Sequence[int]) -> dict[str, Any]:
    """Hold that all stages one after the other are the whole model, with the library's default attention."""
    inputs = probes(read_config(folder))
    settings = Settings(max_length=lesson.max_length)
    placement = Placement("cpu", (), threads=1)
    whole = open_stages(folder, lesson.task, depths, [], placement, settings)
    try:
        reference = classifier.runner(classifier.load_classifier(lesson.checkpoint.folder))
        worst = require_agreement(reference, whole.runner(), inputs, lesson.tolerance)
    finally:
        whole.close()
    shapes = [list(each.ids.shape) for each in inputs]
    return {"max_logit_difference": worst, "bound": lesson.tolerance, "shapes": shapes}
