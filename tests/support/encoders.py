"""Tiny random encoders of every described family, with a task's head and BERT's tokenizer."""

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


_DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "norm_rel_ebd": "layer_norm"}
DESCRIBED: dict[str, tuple[str, dict[str, Any]]] = {
    **{family: (architecture, {}) for family, architecture in ARCHITECTURES.items()},
    "xlm-roberta": ("XLMRoberta", {"type_vocab_size": 1}),
    "camembert": ("Camembert", {"type_vocab_size": 1}),
    "electra": ("Electra", {"embedding_size": 16}),
    # transformers takes token 1 as padding, whatever the configuration says
    "mpnet": ("MPNet", {"pad_token_id": 1}),
    # short windows in the second layer, so that texts reach beyond them
    "modernbert": ("ModernBert", {"local_attention": 16, "global_attn_every_n_layers": 2}),
    "modernbert-mean": (
        "ModernBert",
        {
            "local_attention": 16,
            "global_attn_every_n_layers": 2,
            "classifier_pooling": "mean",
            "norm_bias": True,
            "attention_bias": True,
            "mlp_bias": True,
            "classifier_bias": True,
        },
    ),
    "nomic_bert": ("NomicBert", {}),
    "eurobert": ("EuroBert", {}),
    # as released: v3 shares projections and has no positions in its input, v2 has a convolution as well
    "deberta-v3": (
        "DebertaV2",
        {**_DEBERTA, "position_biased_input": False, "share_att_key": True, "position_buckets": 16},
    ),
    "deberta-v2": (
        "DebertaV2",
        {
            **_DEBERTA,
            "share_att_key": True,
            "position_buckets": 16,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "position_biased_input": False,
            "type_vocab_size": 2,
        },
    ),
    "deberta-projections": ("DebertaV2", {**_DEBERTA, "position_biased_input": True, "norm_rel_ebd": "none"}),
    "albert": ("Albert", {"embedding_size": 16}),
}
"""Architecture and fields of tiny encoders, by name: a model type, or one with other options."""

_COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")


def config_of(family: str, **changed: Any) -> Any:
    """Return a tiny configuration; `changed` fields are named as the family names them."""
    import transformers

    architecture, options = DESCRIBED[family]
    sizes = _DISTIL if family == "distilbert" else _BERT
    common = {"vocab_size": len(tiny.vocabulary()), "pad_token_id": 0, "initializer_range": 0.3}
    positions = {"max_position_embeddings": 130 if family in _COUNTED_FROM_PADDING else 128}
    kind = getattr(transformers, f"{architecture}Config")
    return kind(**{**sizes, **common, **positions, **options, **changed})


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
            if name.endswith("bias") and "norm" not in name.lower():
                bias.normal_(std=0.3)
    return model


def saved(model: Any, folder: Path) -> Path:
    """Write a model and its tokenizer as a checkpoint folder; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_transformers():
        model.save_pretrained(folder)
    tiny.write_tokenizer(folder)
    return folder
