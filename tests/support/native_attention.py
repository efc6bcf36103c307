"""Attention in PyTorch that rounds to 16 bits as the compiled encoder does (kernels/attention.h).

    queries, keys, values --16 bits--> scores + terms by distance --softmax--> weights --16 bits--> outputs

Masks, buckets and biases are those that transformers computes. Tensors of heads are [copies, heads, tokens,
head size]; all heads of a token share one unit.
"""

from collections.abc import Callable
from typing import Any

from baselines.models.families.facts import EncoderFacts

Errors = Callable[[Any, Any], Any]
"""Adds to an array errors of a share of a span."""

Terms = Callable[[Any, Any], Any]
"""What is added to scores, from rounded queries and keys."""


def replace(model: Any, encoder: Any, facts: EncoderFacts, with_errors: Errors) -> None:
    """Let the encoder's layers attend in 16 bits."""
    for name in dict.fromkeys(facts.modules.layers):
        module = encoder.get_submodule(f"{name}.{facts.modules.layer.attention}")
        if facts.relative_bias is not None:
            module.forward = _mpnet(module, with_errors)
        elif facts.disentangled is not None:
            module.forward = _deberta(module, with_errors)
    if facts.relative_bias is None and facts.disentangled is None:
        _register(with_errors)
        model.config._attn_implementation = "rounded"


def _register(with_errors: Errors) -> None:
    """Register an attention function of transformers, with the masks of its plain one."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    def attention(
        _module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **options: Any
    ) -> Any:
        repeats, window = query.shape[1] // key.shape[1], options.get("sliding_window")
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        terms = (lambda *_: 0) if mask is None else (lambda *_: mask)
        # transformers counts the token itself
        values = key.shape[2] if window is None else 2 * window - 1
        return attend(query * scaling, key, value, with_errors, terms, values), None

    ALL_ATTENTION_FUNCTIONS.register("rounded", attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register("rounded", eager_mask)


def attend(
    query: Any, key: Any, value: Any, with_errors: Errors, terms: Terms, most_values: int | None = None
) -> Any:
    """Attend to the tokens of one sequence in each copy; the result is [copies, tokens, heads, head size].

    `most_values` is how many values a sum has at most, all tokens' unless it is given.
    """
    import torch

    tokens = query.shape[2]
    query, key = (_round(x, _query_limit(x), with_errors) for x in (query, key))
    values, value_scales = _integers_of(value, 4095, with_errors)
    scores = query @ key.transpose(2, 3) + terms(query, key)
    weights = torch.exp(scores - scores.amax(3, keepdim=True))
    sum_scale = value_scales.amax(2, keepdim=True) / min(
        32767, 2**31 // 4095 // min(tokens, most_values or tokens) - 1
    )
    folded = torch.round(weights * (value_scales.transpose(2, 3) / sum_scale))
    return (folded @ values * sum_scale / weights.sum(3, keepdim=True)).transpose(1, 2).contiguous()


def _query_limit(x: Any) -> int:
    even = x.shape[3] + x.shape[3] % 2
    return min(32767, int((2**31 / even) ** 0.5 * 0.9999))


def _integers_of(x: Any, limit: float, with_errors: Errors) -> tuple[Any, Any]:
    import torch

    largest = x.abs().amax((1, 3), keepdim=True)
    return torch.round(with_errors(x, largest) / (largest / limit)), largest / limit


def _round(x: Any, limit: float, with_errors: Errors) -> Any:
    integers, scales = _integers_of(x, limit, with_errors)
    return integers * scales


def _heads_of(module: Any, x: Any) -> Any:
    return x.view(*x.shape[:-1], module.num_attention_heads, -1).transpose(1, 2)


def _mpnet(module: Any, with_errors: Errors) -> Callable[..., Any]:
    def forward(hidden: Any, _mask: Any = None, position_bias: Any = None, **_: Any) -> Any:
        query, key, value = (_heads_of(module, linear(hidden)) for linear in (module.q, module.k, module.v))
        query = query * module.attention_head_size**-0.5
        attended = attend(query, key, value, with_errors, lambda *_: position_bias)
        return (module.o(attended.flatten(2)),)

    return forward


def _deberta(module: Any, with_errors: Errors) -> Callable[..., Any]:
    def forward(hidden: Any, *_: Any, relative_pos: Any = None, rel_embeddings: Any = None, **__: Any) -> Any:
        import torch

        scale = (module.attention_head_size * (1 + len(module.pos_att_type))) ** -0.5
        query, key, value = (
            _heads_of(module, linear(hidden))
            for linear in (module.query_proj, module.key_proj, module.value_proj)
        )
        span = module.pos_ebd_size
        # of key j from query i, as [1, 1, tokens, tokens]
        rows = torch.clamp(relative_pos + span, 0, 2 * span - 1).unsqueeze(1)

        def of_positions(shared: Any, own: str) -> Any:
            linear = shared if module.share_att_key else getattr(module, own)
            return _heads_of(module, linear(rel_embeddings[: 2 * span].unsqueeze(0)))

        def terms(query: Any, key: Any) -> Any:
            total, shape = 0, (*query.shape[:2], -1, -1)
            if "c2p" in module.pos_att_type:
                keys = of_positions(module.key_proj, "pos_key_proj")
                keys = _round(keys, _query_limit(keys), lambda x, _: x)
                total += torch.gather(query @ keys.transpose(2, 3), 3, rows.expand(shape))
            if "p2c" in module.pos_att_type:
                queries = of_positions(module.query_proj, "pos_query_proj") * scale
                queries = _round(queries, _query_limit(queries), lambda x, _: x)
                products = key @ queries.transpose(2, 3)  # [copies, heads, j, rows]
                total += torch.gather(products, 3, rows.transpose(2, 3).expand(shape)).transpose(2, 3)
            return total

        return attend(query * scale, key, value, with_errors, terms).flatten(2), None

    return forward
