"""The description of encoders, compared with transformers' models and configurations."""

import math
from functools import cache
from typing import Any

import encoders
import pytest

from baselines.models.families import FAMILIES, facts_of
from baselines.models.families.facts import EncoderFacts
from baselines.models.families.family import Family
from harness.common.errors import CheckpointError

every_kind = pytest.mark.parametrize("kind", encoders.DESCRIBED)
TEXT = 40


@cache
def stock(kind: str) -> Any:
    """Return transformers' own classifier of a tiny configuration."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    config = encoders.config_of(kind, num_labels=3)
    return AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()


def described(model: Any) -> EncoderFacts:
    return facts_of(model.config.to_dict())


def module_names(facts: EncoderFacts) -> set[str]:
    """Return every module that the facts name, with its whole name in the classifier."""
    parts = facts.modules
    own = [
        *(parts.words, parts.positions, parts.types, parts.embedding_norm, parts.embedding_projection),
        *(parts.final_norm, parts.relative_bias, parts.relative_embeddings, parts.relative_norm),
        *(parts.convolution, parts.convolution_norm),
    ]
    layer = parts.layer
    of_layer = [
        *(layer.query, layer.key, layer.value, layer.query_key_value, layer.out, layer.up, layer.gate),
        *(layer.gate_up, layer.down, layer.position_key, layer.position_query, layer.ffn_norm),
    ]
    names = {f"{parts.prefix}.{name}" for name in own if name}
    for path, what in zip(parts.layers, facts.layers, strict=True):
        norms = [layer.attention_norm] if what.attention_norm else []
        names |= {f"{parts.prefix}.{path}.{name}" for name in (*of_layer, *norms) if name}
    return names | {name for name in (facts.head.dense, facts.head.labels, facts.head.norm) if name}


@every_kind
def test_every_module_with_weights_is_named_once_and_exists(kind: str) -> None:
    """What surgery forgets would keep its old size: the facts name all that has parameters."""
    model = stock(kind)
    with_weights = {name.rpartition(".")[0] for name, _ in model.named_parameters(remove_duplicate=False)}
    assert module_names(described(model)) == with_weights


@every_kind
def test_sizes_biases_and_norms_are_those_of_the_model(kind: str) -> None:
    """Shapes of every map of every layer, which of them have a bias, and the epsilon of every norm."""
    model = stock(kind)
    facts = described(model)
    encoder = model.base_model
    names = facts.modules.layer
    for path, layer in zip(facts.modules.layers, facts.layers, strict=True):
        modules = encoder.get_submodule(path)
        width = layer.heads * facts.head_size
        shapes = {
            names.query: (width, facts.hidden),
            names.key: (layer.key_value_heads * facts.head_size, facts.hidden),
            names.query_key_value: (3 * width, facts.hidden),
            names.out: (facts.hidden, width),
            names.up: (layer.ffn, facts.hidden),
            names.gate: (layer.ffn, facts.hidden),
            names.gate_up: (2 * layer.ffn, facts.hidden),
            names.down: (facts.hidden, layer.ffn),
        }
        for name, shape in shapes.items():
            if name:
                linear = modules.get_submodule(name)
                attention = name in (names.query, names.key, names.query_key_value, names.out)
                assert tuple(linear.weight.shape) == shape, name
                assert (linear.bias is not None) == (layer.attention_bias if attention else layer.ffn_bias)
        norm = modules.get_submodule(names.ffn_norm)
        assert type(norm).__name__ == ("LayerNorm" if layer.norm == "layer" else "EuroBertRMSNorm")
        assert getattr(norm, "eps", None) or norm.variance_epsilon == layer.norm_epsilon
        assert (getattr(norm, "bias", None) is not None) == layer.norm_bias
    assert encoder.get_submodule(facts.modules.words).weight.shape == (
        facts.vocabulary,
        facts.embedding_width,
    )
    assert (facts.segments > 0) == bool(facts.modules.types)
    if facts.modules.types:
        assert len(encoder.get_submodule(facts.modules.types).weight) == facts.segments
    assert facts.embedding_norm == bool(facts.modules.embedding_norm)
    assert facts.final_norm == bool(facts.modules.final_norm)
    dense = model.get_submodule(facts.head.dense)
    assert (dense.bias is not None) == facts.head.dense_bias


@every_kind
def test_norms_come_before_or_after_as_described(kind: str) -> None:
    """A layer that normalises afterwards gives states of mean 0 where its last norm has no shift."""
    import torch

    model = stock(kind)
    facts = described(model)
    outputs: list[torch.Tensor] = []
    first = model.base_model.get_submodule(facts.modules.layers[0])
    hook = first.register_forward_hook(
        lambda _m, _i, output: outputs.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    ids = torch.arange(5, 5 + TEXT)[None]
    with torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    hook.remove()
    spread = outputs[0].std(-1, unbiased=False)
    normalised = bool(((spread - 1).abs() < 1e-3).all())
    assert normalised == (not facts.layers[0].norm_before)


def last_layer_attention(model: Any) -> Any:
    """Return the attention of the last layer for one sequence: [heads, tokens, tokens]."""
    import torch

    ids = torch.arange(5, 5 + TEXT)[None]
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True)
    return output.attentions[-1][0]


@pytest.mark.parametrize("kind", ["modernbert", "modernbert-mean", "nomic_bert", "bert"])
def test_the_window_is_how_far_attention_reaches(kind: str) -> None:
    """ModernBERT's 16 tokens are 8 on each side; others attend to all tokens."""
    model = stock(kind)
    facts = described(model)
    attention = last_layer_attention(model)
    reached = max(
        abs(query - key) for query in range(TEXT) for key in range(TEXT) if attention[0, query, key] > 0
    )
    assert reached == (facts.layers[-1].attention_window or TEXT - 1)
    assert facts.layers[0].attention_window is None
    if kind.startswith("modernbert"):
        assert facts.layers[-1].attention_window == 8


@pytest.mark.parametrize(
    ("kind", "buffer", "layer"),
    [
        ("modernbert", "full_attention_inv_freq", 0),
        ("modernbert", "sliding_attention_inv_freq", 1),
        ("nomic_bert", "inv_freq", 0),
        ("eurobert", "inv_freq", 0),
    ],
)
def test_rotations_have_the_base_of_the_layer(kind: str, buffer: str, layer: int) -> None:
    """The second frequency is base to the power of -2 / head size."""
    model = stock(kind)
    facts = described(model)
    base = facts.layers[layer].rotary_base
    assert base is not None
    frequencies = getattr(model.base_model.rotary_emb, buffer)
    assert float(frequencies[1]) == pytest.approx(base ** (-2 / facts.head_size), rel=1e-5)
    assert facts.rotary_type == "default"


@pytest.mark.parametrize(
    ("fields", "bases"),
    [
        ({"global_rope_theta": 80_000.0, "local_rope_theta": 5_000.0}, (80_000.0, 5_000.0)),
        ({}, (160_000.0, 10_000.0)),
    ],
)
def test_bases_are_read_from_configurations_of_the_older_kind(
    fields: dict[str, float], bases: tuple[float, float]
) -> None:
    """As ModernBERT was released; the right values are those that transformers makes of the same file."""
    from transformers import ModernBertConfig

    raw = {"model_type": "modernbert", "num_hidden_layers": 2, "global_attn_every_n_layers": 2, **fields}
    facts = facts_of(raw)
    own = ModernBertConfig(**{name: value for name, value in raw.items() if name != "model_type"})
    parameters = [own.rope_parameters[kind]["rope_theta"] for kind in own.layer_types]
    assert tuple(layer.rotary_base for layer in facts.layers) == tuple(parameters) == bases


def test_scaled_rotations_have_their_name() -> None:
    """An engine that computes plain rotations must refuse others."""
    raw = {
        "model_type": "eurobert",
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 9.0, "factor": 2.0},
    }
    assert facts_of(raw).rotary_type == "yarn"
    assert facts_of(raw).layers[0].rotary_base == 9.0
    assert facts_of({"model_type": "eurobert", "rope_theta": 250_000.0}).layers[0].rotary_base == 250_000.0


@every_kind
def test_the_first_position_is_the_row_that_the_first_token_gets(kind: str) -> None:
    """And the table has a row for every position of the longest sequence."""
    import torch

    model = stock(kind)
    facts = described(model)
    if "learned" not in facts.positions:
        assert not facts.modules.positions
        return
    table = model.base_model.get_submodule(facts.modules.positions)
    rows: list[torch.Tensor] = []
    hook = table.register_forward_hook(lambda _m, inputs, _o: rows.append(inputs[0]))
    ids = torch.arange(5, 5 + TEXT)[None]
    with torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    hook.remove()
    assert int(rows[0].flatten()[0]) == facts.first_position
    assert len(table.weight) - facts.first_position == facts.max_positions >= 128


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_fields_that_are_left_out_have_transformers_defaults(family: Family) -> None:
    """A configuration with nothing but its type is described as transformers completes it."""
    from transformers import AutoConfig

    for model_type in family.model_types:
        own = AutoConfig.for_model(model_type)
        for name, value in family.defaults.items():
            if hasattr(own, name):
                assert getattr(own, name) == value, f"{model_type}.{name}"
        assert facts_of({"model_type": model_type}) == facts_of(own.to_dict())


def test_a_released_deberta_v3_is_read_from_the_fields_that_its_file_has() -> None:
    """The fields of microsoft/deberta-v3-base; 256 buckets on each side of 512 embeddings."""
    released = {
        "model_type": "deberta-v2",
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "layer_norm_eps": 1e-7,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "type_vocab_size": 0,
        "vocab_size": 128100,
    }
    facts = facts_of(released)
    assert facts.disentangled is not None
    assert (facts.disentangled.span, facts.disentangled.terms) == (256, 3)
    assert facts.disentangled.shared_projections
    assert facts.positions == ("disentangled",)
    assert (facts.segments, facts.convolution, facts.head_size) == (0, None, 64)
    assert facts.layers[0].norm_epsilon == 1e-7


def test_albert_runs_one_layer_twelve_times() -> None:
    """With two groups each is run six times, as transformers spreads them."""
    facts = facts_of({"model_type": "albert"})
    assert facts.shared_layers
    assert len(facts.layers) == 12
    assert set(facts.modules.layers) == {"encoder.albert_layer_groups.0.albert_layers.0"}
    groups = facts_of({"model_type": "albert", "num_hidden_groups": 2}).modules.layers
    assert [name.split(".")[2] for name in groups] == ["0"] * 6 + ["1"] * 6
    assert not facts_of({"model_type": "bert"}).shared_layers


@every_kind
def test_the_weights_of_layers_are_counted_as_the_model_has_them(kind: str) -> None:
    """Without the projections of relative positions, which no token passes through."""
    model = stock(kind)
    facts = described(model)
    names = facts.modules.layer
    maps = {
        *(names.query, names.key, names.value, names.query_key_value, names.out),
        *(names.up, names.gate, names.gate_up, names.down),
    } - {""}
    for index, path in enumerate(facts.modules.layers):
        layer = model.base_model.get_submodule(path)
        counted = sum(math.prod(layer.get_submodule(name).weight.shape) for name in maps)
        assert facts.layer_weights(index) == counted


def test_a_family_without_a_description_is_refused_with_those_that_have_one() -> None:
    """And with what answers for it all the same."""
    with pytest.raises(
        CheckpointError, match="does not support the family longformer: its layers are not described"
    ) as caught:
        facts_of({"model_type": "longformer"}, "mine")
    assert caught.value.where == "mine"
    assert "ModernBERT" in (caught.value.remedy or "")
    assert "onnx-int8" in (caught.value.remedy or "")
