"""Joint training of backbone and exits, so that the layers before an exit give useful states there.

    labels --> loss after each exit and after the last layer, each weighted by its depth --> one training

The weighted sum is that of shallow-deep networks (Kaya et al. 2019) as in PABEE (Zhou et al. 2020): deeper
exits have a larger weight, so the full model stays good. The result is the backbone with its own classifier,
a checkpoint like any other. Exit heads are then trained on it from the start, with its layers frozen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module, ModuleDict
from torch.nn.functional import cross_entropy

from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import load_classifier, logits_of
from baselines.models.families.layers import encoder_of, facts_about, stacked_layers
from baselines.models.families.slices import final_norm_of
from baselines.training import trainer
from baselines.training.datasets import (
    RECORD,
    SPLIT_SEED,
    EncodedExamples,
    TrainingItem,
    TrainingSettings,
    label_names,
    split_for_selection,
    training_items,
)
from baselines.training.finetune import copy_tokenizer
from baselines.training.objective import LabelObjective
from harness.systems.interface import Checkpoint, PreparationContext
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.early_exit.exit_heads import ExitHead, head_input
from optimized.recipes.resumable import TrainingSession

EPOCHS = 3
"""Fewer than in fine-tuning, since the backbone is already fine-tuned."""

_EXITS = "exits"  # the name of the submodule with the heads, which is removed after training


@dataclass(frozen=True, slots=True)
class JointObjective:
    """The objective: cross-entropy with the labels after each exit and after the last layer.

    `states` holds the hidden states after each layer in the last forward pass, recorded by hooks;
    `final_norm` is the encoder's, and `pooling` that of its head.
    """

    exits: tuple[int, ...]
    layers: int
    states: list[torch.Tensor]
    final_norm: Module
    pooling: str

    def targets(self, items: Sequence[TrainingItem]) -> dict[str, Any]:
        """Return the column of the label of each sequence."""
        return LabelObjective("sequence").targets(items)

    def loss(self, model: Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the mean of all losses, weighted by depth."""
        targets, _ = inputs.pop("targets"), inputs.pop("sizes")
        total = self.layers * cross_entropy(logits_of(model, inputs).float(), targets)
        for depth in self.exits:
            head = getattr(model, _EXITS)[str(depth)]
            logits = head(head_input(self.final_norm(self.states[depth - 1]), inputs, self.pooling))
            total = total + depth * cross_entropy(logits.float(), targets)
        return total / (self.layers + sum(self.exits))


def train(
    task: Task,
    checkpoint: Checkpoint,
    exits: tuple[int, ...],
    examples: Sequence[Example],
    max_length: int,
    seed: int,
    context: PreparationContext,
    session: TrainingSession,
    folder: Path,
) -> dict[str, Any]:
    """Write a checkpoint into `folder` as `bench train` does; return fields of the manifest."""
    kept, held_out = split_for_selection(examples, SPLIT_SEED)
    encoder = TextEncoder(checkpoint.folder, max_length)
    encoded_held_out = EncodedExamples(held_out, encoder.encode(held_out))
    names = label_names(task, checkpoint)
    columns = [names.index(label) for label in task.labels]
    model = load_classifier(checkpoint.folder)
    job = trainer.TrainingJob(
        task=task,
        columns=columns,
        folder=session.folder,
        tuning=TrainingSettings(epochs=EPOCHS, max_length=max_length, seed=seed),
        device=context.placement.device,
        pad_id=encoder.pad_id,
        progress=lambda step: session.report("backbone and exits", step.fraction, step.seconds_left),
        clock=session.clock,
        objective=_add_exits(model, exits, seed),
    )
    items = training_items(task, columns, EncodedExamples(kept, encoder.encode(kept)))
    before = trainer.score(job, model, encoded_held_out)
    facts = trainer.run(job, model, items, encoded_held_out, encoded_held_out)
    delattr(model, _EXITS)
    trainer.save(model, folder)
    copy_tokenizer(checkpoint.folder, folder)
    record = {"recipe": "joint-exits", "task": task.model_task, "trained": True}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    scores = {"held_out": len(held_out), "before": before, "after": facts.pop("val")}
    return {"exits": list(exits), "examples": len(kept), "scores": scores, **facts}


def _add_exits(model: Module, exits: tuple[int, ...], seed: int) -> JointObjective:
    """Add heads after these layers to the model, and hooks that record the states after each layer."""
    layers, states = stacked_layers(model), list[torch.Tensor]()
    torch.manual_seed(seed)
    model.add_module(_EXITS, ModuleDict({str(depth): ExitHead(model) for depth in exits}))

    def record(_module: Module, _inputs: object, output: torch.Tensor | Sequence[torch.Tensor]) -> None:
        states.append(output if isinstance(output, torch.Tensor) else output[0])

    def clear(*_: object) -> None:
        states.clear()

    encoder_of(model).register_forward_pre_hook(clear)
    # a layer with shared weights runs again and again, in order
    for layer in {id(layer): layer for layer in layers}.values():
        layer.register_forward_hook(record)
    pooling = facts_about(model).head.pooling
    return JointObjective(exits, len(layers), states, final_norm_of(model), pooling)
