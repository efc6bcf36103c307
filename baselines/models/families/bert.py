"""BERT and the families with its layers: RoBERTa, XLM-R, CamemBERT and ELECTRA."""

from dataclasses import replace

from baselines.models.families.facts import (
    EncoderFacts,
    EncoderModules,
    HeadFacts,
    LayerFacts,
    LayerModules,
    numbered,
)
from baselines.models.families.family import Config, Family
from baselines.models.families.sizes import EncoderShape

LAYER = LayerModules(
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    out="attention.output.dense",
    up="intermediate.dense",
    down="output.dense",
    attention_norm="attention.output.LayerNorm",
    ffn_norm="output.LayerNorm",
    activation="intermediate.intermediate_act_fn",
)
_POOLER = HeadFacts("bert.pooler.dense", "classifier", "tanh")
_OUT_PROJECTION = HeadFacts("classifier.dense", "classifier.out_proj", "tanh")
_DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def layers_of(config: Config, shape: EncoderShape) -> tuple[LayerFacts, ...]:
    """Return layers that normalise after attention and after the feed-forward block, with all biases."""
    epsilon = float(config["layer_norm_eps"])
    return tuple(
        LayerFacts(heads, ffn, shape.activation, heads, norm_epsilon=epsilon)
        for heads, ffn in zip(shape.heads, shape.ffn, strict=True)
    )


def _facts(
    config: Config, shape: EncoderShape, prefix: str, head: HeadFacts, first_position: int, width: int
) -> EncoderFacts:
    layers = layers_of(config, shape)
    return EncoderFacts(
        family=str(config["model_type"]),
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=width,
        positions=("learned",),
        first_position=first_position,
        max_positions=int(config["max_position_embeddings"]) - first_position,
        segments=int(config["type_vocab_size"]),
        embedding_projection=width != shape.hidden,
        norm_epsilon=float(config["layer_norm_eps"]),
        head=head,
        modules=EncoderModules(
            prefix=prefix,
            stack="encoder.layer",
            layers=numbered("encoder.layer", layers),
            layer=LAYER,
            words="embeddings.word_embeddings",
            positions="embeddings.position_embeddings",
            types="embeddings.token_type_embeddings",
            embedding_norm="embeddings.LayerNorm",
            embedding_projection="embeddings_project" if width != shape.hidden else "",
        ),
    )


def _bert(config: Config, shape: EncoderShape) -> EncoderFacts:
    return _facts(config, shape, "bert", _POOLER, 0, shape.hidden)


def _roberta(config: Config, shape: EncoderShape) -> EncoderFacts:
    # positions are counted from the padding id + 1
    first = int(config["pad_token_id"]) + 1
    return _facts(config, shape, "roberta", _OUT_PROJECTION, first, shape.hidden)


def _electra(config: Config, shape: EncoderShape) -> EncoderFacts:
    head = replace(_OUT_PROJECTION, activation="gelu")
    return _facts(config, shape, "electra", head, 0, int(config["embedding_size"]))


BERT = Family(("bert",), "BERT", _bert, _DEFAULTS)
ROBERTA = Family(("roberta",), "RoBERTa", _roberta, {**_DEFAULTS, "vocab_size": 50265, "pad_token_id": 1})
XLM_R = Family(
    ("xlm-roberta", "camembert"), "XLM-R", _roberta, {**_DEFAULTS, "vocab_size": 30522, "pad_token_id": 1}
)
ELECTRA = Family(
    ("electra",),
    "ELECTRA",
    _electra,
    {
        **_DEFAULTS,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
)
