"""ModernBERT: rotary positions, gated units, norms before, and windows of attention in most layers."""

from baselines.models.families.facts import (
    EncoderFacts,
    EncoderModules,
    HeadFacts,
    LayerFacts,
    LayerModules,
    numbered,
)
from baselines.models.families.family import Config, Family, rotary_base, rotary_type
from baselines.models.families.sizes import EncoderShape, FieldNames

_FULL, _WINDOW = "full_attention", "sliding_attention"
_LAYER = LayerModules(
    attention="attn",
    query_key_value="attn.Wqkv",
    out="attn.Wo",
    gate_up="mlp.Wi",
    down="mlp.Wo",
    attention_norm="attn_norm",
    ffn_norm="mlp_norm",
    activation="mlp.act",
)


def _describe(config: Config, shape: EncoderShape) -> EncoderFacts:
    layers = tuple(_layer(config, shape, index) for index in range(shape.layers))
    norm_bias, epsilon = bool(config["norm_bias"]), float(config["norm_eps"])
    return EncoderFacts(
        family="modernbert",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=shape.hidden,
        positions=("rotary",),
        max_positions=int(config["max_position_embeddings"]),
        final_norm=True,
        norm_bias=norm_bias,
        norm_epsilon=epsilon,
        rotary_type=rotary_type(config),
        head=HeadFacts(
            "head.dense",
            "classifier",
            str(config["classifier_activation"]),
            pooling="mean" if config["classifier_pooling"] == "mean" else "first",
            dense_bias=bool(config["classifier_bias"]),
            norm="head.norm",
        ),
        modules=EncoderModules(
            prefix="model",
            stack="layers",
            layers=numbered("layers", layers),
            layer=_LAYER,
            words="embeddings.tok_embeddings",
            embedding_norm="embeddings.norm",
            final_norm="final_norm",
        ),
    )


def _layer(config: Config, shape: EncoderShape, index: int) -> LayerFacts:
    types = config.get("layer_types") or [
        _WINDOW if number % int(config["global_attn_every_n_layers"]) else _FULL
        for number in range(shape.layers)
    ]
    windowed = types[index] == _WINDOW
    base = (
        rotary_base(config, _WINDOW, "local_rope_theta", 10_000)
        if windowed
        else rotary_base(config, _FULL, "global_rope_theta", 160_000)
    )
    return LayerFacts(
        shape.heads[index],
        shape.ffn[index],
        shape.activation,
        shape.heads[index],
        gated=True,
        norm_before=True,
        norm_bias=bool(config["norm_bias"]),
        norm_epsilon=float(config["norm_eps"]),
        # the embeddings' norm is right before the first layer
        attention_norm=index > 0,
        attention_bias=bool(config["attention_bias"]),
        ffn_bias=bool(config["mlp_bias"]),
        attention_window=int(config["local_attention"]) // 2 if windowed else None,
        rotary_base=base,
    )


MODERNBERT = Family(
    ("modernbert",),
    "ModernBERT",
    _describe,
    {
        "vocab_size": 50368,
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "hidden_activation": "gelu",
        "max_position_embeddings": 8192,
        "norm_eps": 1e-5,
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "local_attention": 128,
        "global_attn_every_n_layers": 3,
        "classifier_pooling": "cls",
        "classifier_bias": False,
        "classifier_activation": "gelu",
    },
    FieldNames(activation="hidden_activation", head_size="head_dim"),
    gated=True,
)
