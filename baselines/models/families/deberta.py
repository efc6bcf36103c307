"""DeBERTa-v2 and v3: disentangled attention, and in v2 a convolution beside the first layer."""

from dataclasses import replace

from baselines.models.families.bert import LAYER, layers_of
from baselines.models.families.facts import (
    Convolution,
    Disentangled,
    EncoderFacts,
    EncoderModules,
    HeadFacts,
    LayerModules,
    numbered,
)
from baselines.models.families.family import Config, Family
from baselines.models.families.sizes import EncoderShape

_LAYER = replace(
    LAYER,
    query="attention.self.query_proj",
    key="attention.self.key_proj",
    value="attention.self.value_proj",
)


def _describe(config: Config, shape: EncoderShape) -> EncoderFacts:
    layers = layers_of(config, shape)
    attention, convolution = _disentangled(config), _convolution(config)
    learned = bool(config["position_biased_input"])
    width = int(config.get("embedding_size") or shape.hidden)
    return EncoderFacts(
        family="deberta-v2",
        vocabulary=int(config["vocab_size"]),
        hidden=shape.hidden,
        head_size=shape.head_size,
        layers=layers,
        embedding_width=width,
        positions=(*(("learned",) if learned else ()), *(("disentangled",) if attention else ())),
        max_positions=int(config["max_position_embeddings"]),
        segments=int(config["type_vocab_size"]),
        embedding_projection=width != shape.hidden,
        norm_after_projection=True,
        norm_epsilon=float(config["layer_norm_eps"]),
        disentangled=attention,
        convolution=convolution,
        head=HeadFacts("pooler.dense", "classifier", str(config["pooler_hidden_act"])),
        modules=EncoderModules(
            prefix="deberta",
            stack="encoder.layer",
            layers=numbered("encoder.layer", layers),
            layer=_layer_modules(attention),
            words="embeddings.word_embeddings",
            positions="embeddings.position_embeddings" if learned else "",
            types="embeddings.token_type_embeddings" if config["type_vocab_size"] else "",
            embedding_norm="embeddings.LayerNorm",
            embedding_projection="embeddings.embed_proj" if width != shape.hidden else "",
            relative_embeddings="encoder.rel_embeddings" if attention else "",
            relative_norm="encoder.LayerNorm" if _norms_positions(config) else "",
            convolution="encoder.conv.conv" if convolution else "",
            convolution_norm="encoder.conv.LayerNorm" if convolution else "",
        ),
    )


def _layer_modules(attention: Disentangled | None) -> LayerModules:
    if attention is None or attention.shared_projections:
        return _LAYER
    return replace(
        _LAYER,
        position_key="attention.self.pos_key_proj" if attention.content_to_position else "",
        position_query="attention.self.pos_query_proj" if attention.position_to_content else "",
    )


def _disentangled(config: Config) -> Disentangled | None:
    if not config["relative_attention"]:
        return None
    terms = config.get("pos_att_type") or ()
    terms = [term.strip() for term in terms.lower().split("|")] if isinstance(terms, str) else terms
    distance = int(config["max_relative_positions"])
    distance = distance if distance >= 1 else int(config["max_position_embeddings"])
    buckets = max(int(config["position_buckets"]), 0)
    return Disentangled(
        content_to_position="c2p" in terms,
        position_to_content="p2c" in terms,
        span=buckets or distance,
        buckets=buckets,
        max_distance=distance,
        shared_projections=bool(config["share_att_key"]),
        norm=_norms_positions(config),
    )


def _norms_positions(config: Config) -> bool:
    return "layer_norm" in str(config["norm_rel_ebd"]).lower()


def _convolution(config: Config) -> Convolution | None:
    kernel = int(config["conv_kernel_size"])
    if kernel <= 0:
        return None
    return Convolution(kernel, int(config["conv_groups"]), str(config["conv_act"]))


DEBERTA = Family(
    ("deberta-v2",),
    "DeBERTa-v2",
    _describe,
    {
        "vocab_size": 128100,
        "hidden_size": 1536,
        "num_hidden_layers": 24,
        "num_attention_heads": 24,
        "intermediate_size": 6144,
        "hidden_act": "gelu",
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "relative_attention": False,
        "max_relative_positions": -1,
        "position_buckets": -1,
        "position_biased_input": True,
        "share_att_key": False,
        "norm_rel_ebd": "none",
        "conv_kernel_size": 0,
        "conv_groups": 1,
        "conv_act": "tanh",
        "pooler_hidden_act": "gelu",
    },
)
