"""ALBERT: one layer that is run many times, after a projection from narrower embeddings."""

from baselines.models.families.bert import layers_of
from baselines.models.families.facts import EncoderFacts, EncoderModules, HeadFacts, LayerModules
from baselines.models.families.family import Config, Family
from baselines.models.families.sizes import EncoderShape

_LAYER = LayerModules(
    attention="attention",
    query="attention.query",
    key="attention.key",
    value="attention.value",
    out="attention.dense",
    up="ffn",
    down="ffn_output",
    attention_norm="attention.LayerNorm",
    ffn_norm="full_layer_layer_norm",
    activation="activation",
)


def _describe(config: Config, shape: EncoderShape) -> EncoderFacts:
    return EncoderFacts(
        family="albert",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers_of(config, shape) * int(config["inner_group_num"]),
        embedding_width=int(config["embedding_size"]),
        positions=("learned",),
        max_positions=int(config["max_position_embeddings"]),
        segments=int(config["type_vocab_size"]),
        embedding_projection=True,
        norm_epsilon=float(config["layer_norm_eps"]),
        head=HeadFacts("albert.pooler", "classifier", "tanh"),
        modules=EncoderModules(
            prefix="albert",
            layers=_names(shape.layers, int(config["num_hidden_groups"]), int(config["inner_group_num"])),
            layer=_LAYER,
            words="embeddings.word_embeddings",
            positions="embeddings.position_embeddings",
            types="embeddings.token_type_embeddings",
            embedding_norm="embeddings.LayerNorm",
            embedding_projection="encoder.embedding_hidden_mapping_in",
        ),
    )


def _names(repetitions: int, groups: int, inner: int) -> tuple[str, ...]:
    """Return the module of each layer that is run; transformers spreads the groups over the repetitions."""
    return tuple(
        f"encoder.albert_layer_groups.{int(number / (repetitions / groups))}.albert_layers.{layer}"
        for number in range(repetitions)
        for layer in range(inner)
    )


ALBERT = Family(
    ("albert",),
    "ALBERT",
    _describe,
    {
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 4096,
        "num_hidden_layers": 12,
        "num_hidden_groups": 1,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "inner_group_num": 1,
        "hidden_act": "gelu_new",
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    },
)
