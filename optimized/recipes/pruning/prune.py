"""Prunes an encoder: measure importance, select, remove, write, and score what is left."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching
from baselines.encoding.tokenizer import TextEncoder
from baselines.models import resize
from baselines.models.classifier import load_classifier, runner
from baselines.models.families.layers import facts_about
from baselines.models.shape import EncoderShape, shape_of
from baselines.models.transformers_settings import quiet_transformers
from baselines.training.datasets import EncodedExamples, split_for_selection, training_items
from baselines.training.finetune import copy_tokenizer
from harness.common.errors import UsageError
from harness.systems.interface import Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.pruning.budget import best
from optimized.recipes.pruning.importance import measure_importance
from optimized.recipes.pruning.target import PruningTarget
from optimized.recipes.pruning.vocabulary import Vocabulary, pieces_kept, write_tokenizer

if TYPE_CHECKING:
    from torch.nn import Module

_SCORING_BATCH = 16


def prune(
    target: PruningTarget,
    task: Task,
    parent: Checkpoint,
    sources: PreparationSources,
    settings: Settings,
    context: PreparationContext,
    folder: Path,
) -> dict[str, Any]:
    """Write the pruned checkpoint into `folder`; return what was kept and the scores before and after."""
    training, held_out = _split_training(target, sources)
    model = load_classifier(parent.folder)
    shape_before, parameters_before = shape_of(model.config.to_dict()), _count_parameters(model)

    def scores(tokenizer: Path) -> Mapping[str, float] | str:
        return _score(model, parent, task, held_out, TextEncoder(tokenizer, settings.max_length))

    scores_before = scores(parent.folder)
    if target.activation:
        resize.set_activation(model, target.activation)
    kept: dict[str, Any] = {}
    if target.narrows(shape_before):
        sample = _draw_sample(target, training, parent, settings)
        kept = _narrow(target, model, task, parent, sample, context)
    copy_tokenizer(parent.folder, folder)
    if target.vocabulary:
        kept["vocabulary"] = _prune_vocabulary(model, parent, training, held_out, folder)
    with quiet_transformers():
        model.save_pretrained(folder)
    shape = shape_of(model.config.to_dict())
    return {
        **kept,
        "shape": _shape_facts(shape),
        "parent_shape": _shape_facts(shape_before),
        "share_left": {
            "parameters": _count_parameters(model) / parameters_before,
            "layers": shape.encoder_weights / shape_before.encoder_weights,
        },
        "selection": scores(folder),
        "selection_before": scores_before,
        "selection_examples": len(held_out),
    }


def _split_training(
    target: PruningTarget, sources: PreparationSources
) -> tuple[list[Example], list[Example]]:
    """Return the examples that measure importance, and the held-out ones that score the result."""
    training = sources.training()
    if not training:
        raise UsageError(
            "prune: there are no training examples to measure importance on.",
            remedy="Use a task with a training split, and --data with its files.",
        )
    return split_for_selection(training, target.seed)


def _draw_sample(
    target: PruningTarget, training: Sequence[Example], parent: Checkpoint, settings: Settings
) -> EncodedExamples:
    drawn = np.random.default_rng(target.seed).permutation(len(training))[: target.examples]
    sample = [training[index] for index in sorted(drawn)]
    return EncodedExamples(sample, TextEncoder(parent.folder, settings.max_length).encode(sample))


def _narrow(
    target: PruningTarget,
    model: "Module",
    task: Task,
    parent: Checkpoint,
    sample: EncodedExamples,
    context: PreparationContext,
) -> dict[str, Any]:
    """Keep the heads, units and components of the width with the highest importance; return the facts."""
    shape = shape_of(model.config.to_dict())
    config = read_config(parent.folder)
    items = training_items(task, label_columns(config, task, parent.name), sample)
    pad_id = int(config.get("pad_token_id") or 0)
    importance = measure_importance(
        model,
        items,
        task.head,
        pad_id,
        lambda fraction: context.progress(f"scoring heads and units of {parent.name}: {fraction:.0%}"),
    )
    heads, units = target.choose(shape, importance, facts_about(model))
    resize.narrow(model, heads, units)
    width = target.width(shape)
    if width < shape.hidden:
        resize.narrow_width(model, best(importance.width, width), best(importance.pooled, width))
    return {
        "scored": {
            "examples": len(sample.examples),
            "lessons": importance.items,
            "tokens": importance.tokens,
        },
        "heads_kept": heads,
    }


def _prune_vocabulary(
    model: "Module",
    parent: Checkpoint,
    training: Sequence[Example],
    held_out: Sequence[Example],
    folder: Path,
) -> dict[str, Any]:
    """Remove the embeddings of unneeded pieces; return how held-out texts are split before and after."""
    before = Vocabulary(parent.folder)
    kept = pieces_kept(before, training, read_config(parent.folder))
    resize.keep_vocabulary(model, kept)
    write_tokenizer(parent.folder, folder, kept)
    after = Vocabulary(folder)
    after.require_same(before, training)
    return {
        "kept": len(kept),
        "of": len(before.pieces),
        "held_out_tokens": {"before": before.count(held_out), "after": after.count(held_out)},
        "held_out_unknown": {"before": before.unknown(held_out), "after": after.unknown(held_out)},
    }


def _score(
    model: "Module", parent: Checkpoint, task: Task, examples: Sequence[Example], encoder: TextEncoder
) -> Mapping[str, float] | str:
    """Return the task's official metrics on the held-out part of the training split."""
    if not parent.trained:
        return "unavailable, because the model is untrained"
    columns = label_columns(read_config(parent.folder), task, parent.name)
    # longest first: batches of similar length need little padding
    pairs = sorted(zip(examples, encoder.encode(examples), strict=True), key=lambda pair: -pair[1].tokens)
    batching = Batching(_SCORING_BATCH, encoder.pad_id, columns)
    predictions = batching.answer([request for _, request in pairs], runner(model))
    answers = task.decide(predictions.logits, predictions.offsets)
    return task.scoring([example for example, _ in pairs], answers)


def _shape_facts(shape: EncoderShape) -> dict[str, Any]:
    return {
        "heads": list(shape.heads),
        "head_size": shape.head_size,
        "ffn": list(shape.ffn),
        "hidden": shape.hidden,
        "activation": shape.activation,
    }


def _count_parameters(model: "Module") -> int:
    return sum(int(parameter.numel()) for parameter in model.parameters())
