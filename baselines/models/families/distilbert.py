"""DistilBERT: BERT's layers under other names, no segments, ReLU in the head."""

from baselines.models.families.facts import (
    EncoderFacts,
    EncoderModules,
    HeadFacts,
    LayerFacts,
    LayerModules,
    numbered,
)
from baselines.models.families.family import Config, Family
from baselines.models.families.sizes import EncoderShape, FieldNames

_LAYER = LayerModules(
    attention="attention",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    out="attention.out_lin",
    up="ffn.lin1",
    down="ffn.lin2",
    attention_norm="sa_layer_norm",
    ffn_norm="output_layer_norm",
    activation="ffn.activation",
)


def _describe(config: Config, shape: EncoderShape) -> EncoderFacts:
    layers = tuple(
        LayerFacts(heads, ffn, shape.activation, heads)
        for heads, ffn in zip(shape.heads, shape.ffn, strict=True)
    )
    return EncoderFacts(
        family="distilbert",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=shape.hidden,
        positions=("learned",),
        max_positions=int(config["max_position_embeddings"]),
        head=HeadFacts("pre_classifier", "classifier", "relu"),
        modules=EncoderModules(
            prefix="distilbert",
            stack="transformer.layer",
            layers=numbered("transformer.layer", layers),
            layer=_LAYER,
            words="embeddings.word_embeddings",
            positions="embeddings.position_embeddings",
            embedding_norm="embeddings.LayerNorm",
        ),
    )


DISTILBERT = Family(
    ("distilbert",),
    "DistilBERT",
    _describe,
    {
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "activation": "gelu",
        "max_position_embeddings": 512,
    },
    FieldNames("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
)
