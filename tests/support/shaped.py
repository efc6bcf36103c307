"""Tiny random checkpoints of shapes that only pruning gives: fewer heads than fill the width."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny

from baselines.models.transformers_settings import quiet_transformers
from harness.workload.tasks.base import Task

_NAMES = {
    "Bert": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "Roberta": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "DistilBert": ("dim", "n_layers", "n_heads", "hidden_dim"),
}


def shaped_checkpoint(
    folder: Path,
    task: Task,
    heads: Sequence[int],
    ffn: Sequence[int],
    *,
    family: str = "Bert",
    width: int = 36,
    head_size: int = 12,
) -> Path:
    """Write a random encoder with so many heads and units in each layer and the head of a task."""
    import torch
    import transformers

    from baselines.models import resize
    from baselines.models.span_classifier import SpanClassifier

    folder.mkdir(parents=True)
    sizes = dict(zip(_NAMES[family], (width, len(heads), max(heads), max(ffn)), strict=True))
    settings: dict[str, Any] = {
        **sizes,
        "vocab_size": len(tiny.vocabulary()),
        "pad_token_id": 0,
        "max_position_embeddings": 130,
        "initializer_range": 0.4,
        "attention_head_size": head_size,
        "heads_per_layer": list(heads),
        "ffn_per_layer": list(ffn),
        "id2label": dict(enumerate(task.labels)),
        "label2id": {label: column for column, label in enumerate(task.labels)},
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    with quiet_transformers():
        if task.head == "span":
            encoder = resize.build(config, transformers.AutoModel)
            SpanClassifier(encoder, len(task.labels)).save_pretrained(folder)
        else:
            resize.build(config).save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder
