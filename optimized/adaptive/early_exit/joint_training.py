"""Backbone and exits trained together: the layers below an exit learn to be the last ones, too.

    labels --> loss after each exit and after the last layer, each weighed by its depth --> one training

The weighted sum is that of shallow-deep networks (Kaya et al. 2019) as PABEE has it (Zhou et al. 2020): the
deeper, the heavier, so that the full model stays good. What is kept is the backbone with its own classifier,
a checkpoint like any other; internal classifiers are then trained on it afresh, with its layers frozen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import load_classifier, logits_of
from baselines.models.resize import encoder_of
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
from optimized.adaptive.early_exit.exit_heads import ExitHead, read_by_head
from optimized.recipes.resumable import TrainingSession

EPOCHS = 3
"""Fewer than a fine-tuning has: the backbone begins as a fine-tuned one."""

_EXITS = "exits"  # the name under which the model carries heads that are thrown away after


@dataclass(frozen=True, slots=True)
class JointObjective:
    """The objective: cross-entropy to the labels after each exit and at the end, weighed by depth."""

    exits: tuple[int, ...]
    layers: int
    shown: dict[int, torch.Tensor]

    def targets(self, batch: Sequence[TrainingItem]) -> dict[str, Any]:
        """Return the labels' columns, one a sequence."""
        return LabelObjective("sequence").targets(batch)

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:  # noqa: ANN401 -- transformers has no types
        """Return the mean of all losses, weighed by depth."""
        targets, _ = inputs.pop("targets"), inputs.pop("sizes")
        total = self.layers * cross_entropy(logits_of(model, inputs).float(), targets)
        for depth in self.exits:
            read = read_by_head(self.shown[depth], inputs.get("spans"))
            logits = getattr(model, _EXITS)[str(depth)](read)
            total = total + depth * cross_entropy(logits.float(), targets)
        return total / (self.layers + sum(self.exits))


def train(
    task: Task,
    checkpoint: Checkpoint,
    exits: tuple[int, ...],
    examples: Sequence[Example],
    max_length: int,
    seed: int,
    workshop: PreparationContext,
    session: TrainingSession,
    folder: Path,
) -> dict[str, Any]:
    """Train into `folder`, a checkpoint as `bench train` writes it; return what the manifest says."""
    kept, held_out = split_for_selection(examples, SPLIT_SEED)
    encoder = TextEncoder(checkpoint.folder, max_length)
    asked = EncodedExamples(held_out, encoder.encode(held_out))
    names = label_names(task, checkpoint)
    columns = [names.index(label) for label in task.labels]
    model = load_classifier(checkpoint.folder)
    job = trainer.TrainingJob(
        task=task,
        columns=columns,
        folder=session.folder,
        tuning=TrainingSettings(epochs=EPOCHS, max_length=max_length, seed=seed),
        device=workshop.placement.device,
        pad_id=encoder.pad_id,
        progress=lambda tick: session.report("backbone and exits", tick.fraction, tick.seconds_left),
        clock=session.clock,
        objective=_equipped(model, exits, seed),
    )
    taught = EncodedExamples(kept, encoder.encode(kept))
    before = trainer.score(job, model, asked)
    facts = trainer.run(job, model, training_items(task, columns, taught), asked, asked)
    delattr(model, _EXITS)
    trainer.save(model, folder)
    copy_tokenizer(checkpoint.folder, folder)
    said = {"recipe": "joint-exits", "task": task.model_task, "trained": True}
    (folder / RECORD).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    scores = {"held_out": len(held_out), "before": before, "after": facts.pop("val")}
    return {"exits": list(exits), "examples": len(kept), "scores": scores, **facts}


def _equipped(model: Any, exits: tuple[int, ...], seed: int) -> JointObjective:  # noqa: ANN401 -- transformers has no types
    """Give the model heads after these layers, and look at what they read from now on."""
    encoder = encoder_of(model)
    whole = encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder
    torch.manual_seed(seed)
    model.add_module(_EXITS, torch.nn.ModuleDict({str(depth): ExitHead(model) for depth in exits}))
    shown: dict[int, torch.Tensor] = {}
    for depth in exits:
        whole.layer[depth - 1].register_forward_hook(
            lambda _module, _inputs, made, depth=depth: shown.__setitem__(
                depth, made if isinstance(made, torch.Tensor) else made[0]
            )
        )
    return JointObjective(exits, len(whole.layer), shown)
