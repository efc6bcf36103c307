"""NomicBERT and EuroBERT: rotary positions and gated units, with norms after and before."""

from dataclasses import replace

from baselines.models.families.facts import (
    EncoderFacts,
    EncoderModules,
    HeadFacts,
    LayerFacts,
    LayerModules,
    Pooling,
    numbered,
)
from baselines.models.families.family import Config, Family, rotary_base, rotary_type
from baselines.models.families.sizes import EncoderShape, FieldNames

_NOMIC_LAYER = LayerModules(
    attention="self_attn",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    out="self_attn.o_proj",
    gate="mlp.gate_proj",
    up="mlp.up_proj",
    down="mlp.down_proj",
    attention_norm="post_attention_layernorm",
    ffn_norm="post_mlp_layernorm",
    activation="mlp.act_fn",
)
_EURO_LAYER = replace(_NOMIC_LAYER, attention_norm="input_layernorm", ffn_norm="post_attention_layernorm")
_SIZES = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "silu",
}
_POOLING: dict[str, Pooling] = {"bos": "first", "mean": "mean", "late": "mean-logits"}


def _nomic(config: Config, shape: EncoderShape) -> EncoderFacts:
    base, epsilon = rotary_base(config, "", "rope_theta", 1000), float(config["layer_norm_eps"])
    layers = tuple(
        LayerFacts(
            heads,
            ffn,
            shape.activation,
            heads,
            gated=True,
            norm_epsilon=epsilon,
            attention_bias=False,
            ffn_bias=False,
            rotary_base=base,
        )
        for heads, ffn in zip(shape.heads, shape.ffn, strict=True)
    )
    return EncoderFacts(
        family="nomic_bert",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=shape.hidden,
        positions=("rotary",),
        max_positions=int(config["max_position_embeddings"]),
        segments=int(config["type_vocab_size"]),
        norm_epsilon=epsilon,
        rotary_type=rotary_type(config),
        head=HeadFacts("nomic_bert.pooler.dense", "classifier", "tanh"),
        modules=EncoderModules(
            prefix="nomic_bert",
            stack="layers",
            layers=numbered("layers", layers),
            layer=_NOMIC_LAYER,
            words="embeddings.word_embeddings",
            types="embeddings.token_type_embeddings",
            embedding_norm="embeddings.LayerNorm",
        ),
    )


def _euro(config: Config, shape: EncoderShape) -> EncoderFacts:
    base, epsilon = rotary_base(config, "", "rope_theta", 10_000), float(config["rms_norm_eps"])
    groups = int(config["num_attention_heads"]) // int(
        config.get("num_key_value_heads") or config["num_attention_heads"]
    )
    layers = tuple(
        LayerFacts(
            heads,
            ffn,
            shape.activation,
            heads // groups,
            gated=True,
            norm_before=True,
            norm="rms",
            norm_bias=False,
            norm_epsilon=epsilon,
            attention_bias=bool(config["attention_bias"]),
            ffn_bias=bool(config["mlp_bias"]),
            rotary_base=base,
        )
        for heads, ffn in zip(shape.heads, shape.ffn, strict=True)
    )
    return EncoderFacts(
        family="eurobert",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=shape.hidden,
        positions=("rotary",),
        max_positions=int(config["max_position_embeddings"]),
        embedding_norm=False,
        heads_divide_width=True,
        final_norm=True,
        norm="rms",
        norm_bias=False,
        norm_epsilon=epsilon,
        rotary_type=rotary_type(config),
        head=HeadFacts("dense", "classifier", "gelu", pooling=_POOLING[config["classifier_pooling"]]),
        modules=EncoderModules(
            prefix="model",
            stack="layers",
            layers=numbered("layers", layers),
            layer=_EURO_LAYER,
            words="embed_tokens",
            final_norm="norm",
        ),
    )


NOMIC = Family(
    ("nomic_bert",),
    "NomicBERT",
    _nomic,
    {
        **_SIZES,
        "vocab_size": 30528,
        "max_position_embeddings": 2048,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    },
    FieldNames(head_size="head_dim"),
    gated=True,
)
EUROBERT = Family(
    ("eurobert",),
    "EuroBERT",
    _euro,
    {
        **_SIZES,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "attention_bias": False,
        "mlp_bias": False,
        "classifier_pooling": "late",
    },
    FieldNames(key_value_heads="num_key_value_heads", head_size="head_dim"),
    gated=True,
)
