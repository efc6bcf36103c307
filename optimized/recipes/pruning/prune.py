"""Prunes an encoder: score, choose, remove, write, and score what is left."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching
from baselines.encoding.tokenizer import TextEncoder
from baselines.models import resize
from baselines.models.classifier import load_classifier, runner
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

_SCORING_BATCH = 16


def prune(
    target: PruningTarget,
    task: Task,
    parent: Checkpoint,
    sources: PreparationSources,
    settings: Settings,
    workshop: PreparationContext,
    folder: Path,
) -> dict[str, Any]:
    """Write the pruned checkpoint into `folder`; return what was kept and what it scores."""
    training, held_out = _parts(target, sources)
    model = load_classifier(parent.folder)
    whole, weights = shape_of(model.config.to_dict()), _parameters(model)

    def scored(folder: Path) -> Mapping[str, float] | str:
        return _selection(model, parent, task, held_out, TextEncoder(folder, settings.max_length))

    before = scored(parent.folder)
    if target.activation:
        resize.set_activation(model, target.activation)
    chosen: dict[str, Any] = {}
    if target.narrows(whole):
        drawn = _asked(target, training, parent, settings)
        chosen = _narrow(target, model, task, parent, drawn, workshop)
    copy_tokenizer(parent.folder, folder)
    if target.vocabulary:
        chosen["vocabulary"] = _fewer_pieces(model, parent, training, held_out, folder)
    with quiet_transformers():
        model.save_pretrained(folder)
    left = shape_of(model.config.to_dict())
    return {
        **chosen,
        "shape": _sizes(left),
        "parent_shape": _sizes(whole),
        "share_left": {
            "parameters": _parameters(model) / weights,
            "layers": left.encoder_weights / whole.encoder_weights,
        },
        "selection": scored(folder),
        "selection_before": before,
        "selection_examples": len(held_out),
    }


def _parts(target: PruningTarget, sources: PreparationSources) -> tuple[list[Example], list[Example]]:
    """Return the examples that pruning may look at, and those that score the outcome."""
    training = sources.training()
    if not training:
        raise UsageError(
            "prune: there are no training examples to measure importance on.",
            remedy="Use a task with a training split, and --data with its files.",
        )
    return split_for_selection(training, target.seed)


def _asked(
    target: PruningTarget, training: Sequence[Example], parent: Checkpoint, settings: Settings
) -> EncodedExamples:
    drawn = np.random.default_rng(target.seed).permutation(len(training))[: target.examples]
    mine = [training[at] for at in sorted(drawn)]
    return EncodedExamples(mine, TextEncoder(parent.folder, settings.max_length).encode(mine))


def _narrow(
    target: PruningTarget,
    model: Any,  # noqa: ANN401 -- transformers has no types
    task: Task,
    parent: Checkpoint,
    asked: EncodedExamples,
    workshop: PreparationContext,
) -> dict[str, Any]:
    """Score heads, units and width, keep the best of them; return which, and what was scored."""
    shape = shape_of(model.config.to_dict())
    config = read_config(parent.folder)
    taught = training_items(task, label_columns(config, task, parent.name), asked)
    pad_id = int(config.get("pad_token_id") or 0)
    importance = measure_importance(model, taught, task.head, pad_id, _told(workshop, parent))
    heads, units = target.choose(shape, importance)
    resize.narrow(model, heads, units)
    width = target.width(shape)
    if width < shape.hidden:
        resize.narrow_width(model, best(importance.width, width), best(importance.pooled, width))
    return {
        "scored": {
            "examples": len(asked.examples),
            "lessons": importance.lessons,
            "tokens": importance.tokens,
        },
        "heads_kept": heads,
    }


def _fewer_pieces(
    model: Any,  # noqa: ANN401
    parent: Checkpoint,
    training: Sequence[Example],
    held_out: Sequence[Example],
    folder: Path,
) -> dict[str, Any]:
    """Drop the embeddings of pieces that are not needed; return what that does to texts not seen."""
    whole = Vocabulary(parent.folder)
    kept = pieces_kept(whole, training, read_config(parent.folder))
    resize.keep_vocabulary(model, kept)
    write_tokenizer(parent.folder, folder, kept)
    fewer = Vocabulary(folder)
    fewer.require_same(whole, training)
    return {
        "kept": len(kept),
        "of": len(whole.pieces),
        "held_out_tokens": {"before": whole.count(held_out), "after": fewer.count(held_out)},
        "held_out_unknown": {"before": whole.unknown(held_out), "after": fewer.unknown(held_out)},
    }


def _selection(
    model: Any,  # noqa: ANN401 -- transformers has no types
    parent: Checkpoint,
    task: Task,
    examples: Sequence[Example],
    encoder: TextEncoder,
) -> Mapping[str, float] | str:
    """Return the task's official metrics on the held-out part of the training split."""
    if not parent.trained:
        return "unavailable, because the model is untrained"
    columns = label_columns(read_config(parent.folder), task, parent.name)
    # longest first: batches of like length waste little
    pairs = sorted(zip(examples, encoder.encode(examples), strict=True), key=lambda pair: -pair[1].tokens)
    batching = Batching(_SCORING_BATCH, encoder.pad_id, columns)
    found = batching.answer([request for _, request in pairs], runner(model))
    answers = task.decide(found.logits, found.offsets)
    return task.scoring([example for example, _ in pairs], answers)


def _sizes(shape: EncoderShape) -> dict[str, Any]:
    return {
        "heads": list(shape.heads),
        "head_size": shape.head_size,
        "ffn": list(shape.ffn),
        "hidden": shape.hidden,
        "activation": shape.activation,
    }


def _parameters(model: Any) -> int:  # noqa: ANN401
    return sum(int(parameter.numel()) for parameter in model.parameters())


def _told(workshop: PreparationContext, parent: Checkpoint) -> Callable[[float], None]:
    return lambda share: workshop.progress(f"scoring heads and units of {parent.name}: {share:.0%}")
