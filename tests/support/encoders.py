"""Tiny random encoders of the families that can be narrowed, with a task's head and BERT's tokenizer."""

from pathlib import Path
from typing import Any

import tiny

from baselines.models.transformers_settings import quiet_transformers
from harness.workload.tasks.base import Task

ARCHITECTURES = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert"}
HIDDEN, HEADS, UNITS, LAYERS = 32, 4, 24, 2
_DISTIL = {"dim": HIDDEN, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": UNITS}
_BERT = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": UNITS,
}


def config_of(family: str, **changed: Any) -> Any:
    """Return a tiny configuration; `changed` fields are named as the family names them."""
    import transformers

    sizes = _DISTIL if family == "distilbert" else _BERT
    common = {"vocab_size": len(tiny.vocabulary()), "pad_token_id": 0, "initializer_range": 0.3}
    positions = {"max_position_embeddings": 130 if family == "roberta" else 128}
    kind = getattr(transformers, f"{ARCHITECTURES[family]}Config")
    return kind(**{**sizes, **common, **positions, **changed})


def model_of(family: str, task: Task, seed: int = 0, **changed: Any) -> Any:
    """Return a random model of the family with the head and the labels of a task, in inference mode."""
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    from baselines.models import resize
    from baselines.models.span_classifier import SpanClassifier

    names = dict(enumerate(task.labels))
    labels = {"id2label": names, "label2id": {name: column for column, name in names.items()}}
    torch.manual_seed(seed)
    config = config_of(family, **labels, **changed)
    if task.head == "span":
        model = SpanClassifier(resize.build(config, AutoModel), len(task.labels)).eval()
    else:
        model = resize.build(config, AutoModelForSequenceClassification)
    with torch.no_grad():
        for name, bias in model.named_parameters():
            # random too, or nothing would show that the right ones were kept
            if name.endswith("bias") and "LayerNorm" not in name and "layer_norm" not in name:
                bias.normal_(std=0.3)
    return model


def saved(model: Any, folder: Path) -> Path:
    """Write a model and its tokenizer as a checkpoint folder; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_transformers():
        model.save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder
