"""Tiny random classifiers of every family that the compiled encoder computes, with nothing left at 0 or 1."""

from typing import Any

import encoders

from baselines.models.span_classifier import SpanClassifier
from harness.workload.tasks.base import Task

VARIED: dict[str, tuple[str, dict[str, Any]]] = {
    "xlm-roberta": ("xlm-roberta", {}),
    "camembert": ("camembert", {}),
    "electra": ("electra", {}),
    "mpnet": ("mpnet", {}),
    "albert": ("albert", {"num_hidden_layers": 3}),
    "albert, two groups of two": (
        "albert",
        {"num_hidden_layers": 2, "num_hidden_groups": 2, "inner_group_num": 2, "hidden_act": "gelu"},
    ),
    "modernbert": ("modernbert", {}),
    "modernbert, mean": ("modernbert-mean", {}),
    "nomic_bert": ("nomic_bert", {}),
    "eurobert": ("eurobert", {}),
    "eurobert, first token, shared keys": (
        "eurobert",
        {"classifier_pooling": "bos", "num_key_value_heads": 2, "hidden_act": "gelu"},
    ),
    "deberta-v3": ("deberta-v3", {}),
    "deberta, own projections, no buckets": ("deberta-projections", {}),
    "deberta, one product, projected embeddings": (
        "deberta-v3",
        {"pos_att_type": ["c2p"], "embedding_size": 24, "type_vocab_size": 2, "position_biased_input": True},
    ),
}
"""Families and their options, by name: what `encoders.config_of` builds, and the fields that are changed."""


def model_of(name: str, task: Task, seed: int = 0, **changed: Any) -> Any:
    """Return a random model in inference mode, with the head of the task; gains and biases are random too."""
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    family, options = VARIED[name]
    torch.manual_seed(seed)
    config = encoders.config_of(family, num_labels=len(task.labels), **{**options, **changed})
    if task.head == "span":
        model = SpanClassifier(AutoModel.from_config(config), len(task.labels))
    else:
        model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(float(parameter_name.endswith("weight")), 0.3)
    return model.eval()
