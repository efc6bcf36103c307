"""Length drop-out: a model that answers whatever number of tokens each of its layers keeps.

    batch --all tokens--> towards the labels ---------answers---------+
          --as few as are ever tried--> towards these answers  <------+
          --a random share in each layer--> towards these answers <---+    one step

As in the Length-Adaptive Transformer (Kim and Cho 2021): lengths are drawn anew for every batch and layer,
and by the sandwich rule (Yu and Huang 2019) the whole model and the smallest are in every step, the whole
one teaching the others. What is kept is a checkpoint like any other.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import load_classifier
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
from optimized.adaptive.token_dropping.budget import ALL
from optimized.adaptive.token_dropping.model import TokenDroppingModel
from optimized.recipes.distillation.losses import soft_cross_entropy
from optimized.recipes.resumable import TrainingSession

LEAST = 50
"""Hundredths that a layer keeps at least while training."""


@dataclass(frozen=True, slots=True)
class LengthDropObjective:
    """The objective; `chance` draws the shares of each batch."""

    thinned: TokenDroppingModel
    chance: Random

    def targets(self, batch: Sequence[TrainingItem]) -> dict[str, Any]:
        """Return the labels' columns, one a sequence."""
        return LabelObjective("sequence").targets(batch)

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:  # noqa: ANN401 -- transformers has no types
        """Return the mean of the three losses."""
        del model  # the thinned one has its modules
        layers = len(self.thinned.after)
        drawn = [self.chance.randint(LEAST, ALL) for _ in range(layers)]
        whole = self._logits(inputs, [ALL] * layers)
        total = cross_entropy(whole, inputs["targets"])
        for keep in ([LEAST] * layers, drawn):
            total = total + soft_cross_entropy(self._logits(inputs, keep), whole.detach(), 1.0).mean()
        return total / 3

    def _logits(self, inputs: dict[str, Any], keep: Sequence[int]) -> torch.Tensor:
        segments = inputs.get("token_type_ids")
        found: torch.Tensor = self.thinned(inputs["input_ids"], segments, keep, inputs["attention_mask"])
        return found.float()


def train(
    task: Task,
    checkpoint: Checkpoint,
    after: tuple[int, ...],
    examples: Sequence[Example],
    max_length: int,
    tuning: TrainingSettings,
    steps: int,
    workshop: PreparationContext,
    session: TrainingSession,
    folder: Path,
) -> dict[str, Any]:
    """Train `steps` batches into `folder`, a checkpoint as `bench train` writes it; return its facts."""
    kept, held_out = split_for_selection(examples, SPLIT_SEED)
    encoder = TextEncoder(checkpoint.folder, max_length)
    names = label_names(task, checkpoint)
    columns = [names.index(label) for label in task.labels]
    model = load_classifier(checkpoint.folder)
    drop = LengthDropObjective(TokenDroppingModel(model, after), Random(tuning.seed))  # noqa: S311
    job = trainer.TrainingJob(
        task=task,
        columns=columns,
        folder=session.folder,
        tuning=tuning,
        device=workshop.placement.device,
        pad_id=encoder.pad_id,
        progress=lambda tick: session.report("length drop-out", tick.fraction, tick.seconds_left),
        clock=session.clock,
        objective=drop,
        keep_best=False,
    )
    asked = EncodedExamples(held_out, encoder.encode(held_out))
    before = trainer.score(job, model, asked)
    chosen = drawn(kept, steps * tuning.batch, tuning.seed)
    taught = training_items(task, columns, EncodedExamples(chosen, encoder.encode(chosen)))
    facts = trainer.run(job, model, taught, asked, EncodedExamples((), ()))
    facts.pop("val")
    trainer.save(model, folder)
    copy_tokenizer(checkpoint.folder, folder)
    said = {"recipe": "length-drop", "task": task.model_task, "trained": True}
    (folder / RECORD).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    scores = {"held_out": len(held_out), "before": before}
    return {
        "thinned_after": list(after),
        "least_percent": LEAST,
        "examples": len(chosen),
        "scores": scores,
        **facts,
    }


def drawn(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Return `count` examples in seeded order, all of them before any comes again."""

    def forever() -> Any:  # noqa: ANN401 -- an iterator
        chance = Random(seed)  # noqa: S311
        while True:
            yield from chance.sample(list(examples), len(examples))

    return list(islice(forever(), count))
