"""MPNet: BERT's layers with a relative position bias, of which all layers share one table."""

from dataclasses import replace

from baselines.models.families.bert import LAYER, layers_of
from baselines.models.families.facts import EncoderFacts, EncoderModules, HeadFacts, RelativeBias, numbered
from baselines.models.families.family import Config, Family
from baselines.models.families.sizes import EncoderShape

_FIRST_POSITION = 2
"""transformers counts from a padding id of 1, whatever `pad_token_id` is."""

_BUCKETS, _MAX_DISTANCE = 32, 128
"""transformers computes 32 buckets, whatever `relative_attention_num_buckets` is."""

_LAYER = replace(
    LAYER,
    attention="attention.attn",
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    out="attention.attn.o",
    attention_norm="attention.LayerNorm",
)


def _describe(config: Config, shape: EncoderShape) -> EncoderFacts:
    layers = layers_of(config, shape)
    return EncoderFacts(
        family="mpnet",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=shape.hidden,
        positions=("learned", "relative-bias"),
        first_position=_FIRST_POSITION,
        max_positions=int(config["max_position_embeddings"]) - _FIRST_POSITION,
        norm_epsilon=float(config["layer_norm_eps"]),
        relative_bias=RelativeBias(_BUCKETS, _MAX_DISTANCE),
        head=HeadFacts("classifier.dense", "classifier.out_proj", "tanh"),
        modules=EncoderModules(
            prefix="mpnet",
            stack="encoder.layer",
            layers=numbered("encoder.layer", layers),
            layer=_LAYER,
            words="embeddings.word_embeddings",
            positions="embeddings.position_embeddings",
            embedding_norm="embeddings.LayerNorm",
            relative_bias="encoder.relative_attention_bias",
        ),
    )


MPNET = Family(
    ("mpnet",),
    "MPNet",
    _describe,
    {
        "vocab_size": 30527,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "max_position_embeddings": 512,
        "layer_norm_eps": 1e-12,
    },
)
