"""Length dropout: training that makes a model robust to any share of tokens that its layers keep.

    batch --all tokens--> loss against the labels ----------logits------+
          --smallest share in each layer--> loss against these logits <-+
          --random share in each layer----> loss against these logits <-+    one step

As in the Length-Adaptive Transformer (Kim and Cho 2021), shares are drawn anew for every batch and layer. By
the sandwich rule (Yu and Huang 2019) the whole and the smallest model are part of every step, and the whole
model is the teacher of the others. The result is a checkpoint like any other.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.nn import Module
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

SMALLEST_SHARE = 50
"""The smallest share of its tokens, in hundredths, that a layer keeps in training."""


@dataclass(frozen=True, slots=True)
class LengthDropoutObjective:
    """The objective; `random` draws the shares of each batch."""

    model: TokenDroppingModel
    random: Random

    def targets(self, items: Sequence[TrainingItem]) -> dict[str, Any]:
        """Return the column of the label of each sequence."""
        return LabelObjective("sequence").targets(items)

    def loss(self, model: Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the mean of the three losses."""
        del model  # self.model has the same modules
        layers = len(self.model.after)
        random_shares = [self.random.randint(SMALLEST_SHARE, ALL) for _ in range(layers)]
        whole = self._logits(inputs, [ALL] * layers)
        total = cross_entropy(whole, inputs["targets"])
        for keep in ([SMALLEST_SHARE] * layers, random_shares):
            total = total + soft_cross_entropy(self._logits(inputs, keep), whole.detach(), 1.0).mean()
        return total / 3

    def _logits(self, inputs: dict[str, Any], keep: Sequence[int]) -> torch.Tensor:
        segments = inputs.get("token_type_ids")
        logits: torch.Tensor = self.model(inputs["input_ids"], segments, keep, inputs["attention_mask"])
        return logits.float()


def train(
    task: Task,
    checkpoint: Checkpoint,
    after: tuple[int, ...],
    examples: Sequence[Example],
    max_length: int,
    tuning: TrainingSettings,
    steps: int,
    context: PreparationContext,
    session: TrainingSession,
    folder: Path,
) -> dict[str, Any]:
    """Train for `steps` batches and write a checkpoint as `bench train` does; return manifest fields."""
    kept, held_out = split_for_selection(examples, SPLIT_SEED)
    encoder = TextEncoder(checkpoint.folder, max_length)
    names = label_names(task, checkpoint)
    columns = [names.index(label) for label in task.labels]
    model = load_classifier(checkpoint.folder)
    objective = LengthDropoutObjective(TokenDroppingModel(model, after), Random(tuning.seed))  # noqa: S311
    job = trainer.TrainingJob(
        task=task,
        columns=columns,
        folder=session.folder,
        tuning=tuning,
        device=context.placement.device,
        pad_id=encoder.pad_id,
        progress=lambda step: session.report("length dropout", step.fraction, step.seconds_left),
        clock=session.clock,
        objective=objective,
        keep_best=False,
    )
    encoded_held_out = EncodedExamples(held_out, encoder.encode(held_out))
    before = trainer.score(job, model, encoded_held_out)
    drawn = draw_examples(kept, steps * tuning.batch, tuning.seed)
    items = training_items(task, columns, EncodedExamples(drawn, encoder.encode(drawn)))
    facts = trainer.run(job, model, items, encoded_held_out, EncodedExamples((), ()))
    facts.pop("val")
    trainer.save(model, folder)
    copy_tokenizer(checkpoint.folder, folder)
    record = {"recipe": "length-drop", "task": task.model_task, "trained": True}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return {
        "thinned_after": list(after),
        "least_percent": SMALLEST_SHARE,
        "examples": len(drawn),
        "scores": {"held_out": len(held_out), "before": before},
        **facts,
    }


def draw_examples(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Return `count` examples in seeded order, all of them once before any is repeated."""

    def shuffled_forever() -> Iterator[Example]:
        random = Random(seed)  # noqa: S311
        while True:
            yield from random.sample(list(examples), len(examples))

    return list(islice(shuffled_forever(), count))
