"""Part of an encoder: some of its layers in a row, which transformers' own forward pass runs.

    ids ----------> embeddings, layers 1 to 2 ---> hidden states        the first part
    hidden states -----------> layers 3 to 4 ----> hidden states        a later one

Masks, rotations and relative positions are computed by the model itself, so a part needs no code of its
family. Its modules are those of the original model. The last norm is left out.
"""

import copy
from typing import Any

from torch import Tensor
from torch.nn import Identity, Module, ModuleList

from baselines.models.families.layers import encoder_of, facts_about, stacked_layers


class _StatesAsEmbeddings(Module):  # type: ignore[misc]  # mypy does not follow torch
    """In place of embeddings: returns the states that it gets."""

    def forward(self, *inputs: Tensor | None, **named: Tensor | None) -> Tensor:
        tensors = (tensor for tensor in (*inputs, *named.values()) if isinstance(tensor, Tensor))
        return next(tensor for tensor in tensors if tensor.is_floating_point())


def encoder_part(model: Module, low: int, high: int) -> Module:
    """Return layers `low` to `high` (exclusive, from 0) of a model's encoder.

    The first part takes the encoder's inputs, a later one `inputs_embeds` and `attention_mask`.
    """
    facts, part = facts_about(model), _shallow(encoder_of(model))
    modules = facts.modules
    if modules.stack:
        _replace(part, modules.stack, ModuleList(stacked_layers(model)[low:high]))
    else:
        # layers that share their weights: fewer repetitions
        repeated = _shallow(part.encoder)
        repeated.config = copy.copy(repeated.config)
        repeated.config.num_hidden_layers = high - low
        part.encoder = repeated
    _replace(part, modules.final_norm, Identity())
    if getattr(part, "pooler", None) is not None:
        part.pooler = None
    if low:
        for name in {modules.words.rpartition(".")[0], modules.embedding_projection} - {""}:
            if hasattr(part, name.split(".")[0]):
                _replace(part, name, _StatesAsEmbeddings())
        _replace(part, modules.convolution.rpartition(".")[0], None)
    return part


def states_after(part: Module, inputs: dict[str, Tensor]) -> Tensor:
    """Return the hidden states after the part's last layer, [sequences, tokens, width]."""
    output: Any = part(**inputs)
    hidden: Tensor = output.last_hidden_state if hasattr(output, "last_hidden_state") else output[0]
    return hidden


def final_norm_of(model: Module) -> Module:
    """Return the norm after the last layer, or the identity where the layers have it."""
    name = facts_about(model).modules.final_norm
    norm: Module = encoder_of(model).get_submodule(name) if name else Identity()
    return norm


def pooled(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Return what a head for sequences classifies: the first token's state, or the mean over all tokens."""
    if pooling == "first":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def _replace(module: Module, path: str, replacement: Module | None) -> None:
    """Set a module of a shallow copy, whose holders become shallow copies too; nothing for an empty path."""
    if not path:
        return
    *holders, name = path.split(".")
    for holder in holders:
        inner = _shallow(getattr(module, holder))
        setattr(module, holder, inner)
        module = inner
    setattr(module, name, replacement)


def _shallow(module: Module) -> Any:  # noqa: ANN401 -- the module's class
    """Return a module with the same parts, of which some can be replaced without a change to the original."""
    shallow = copy.copy(module)
    shallow._modules = dict(module._modules)  # noqa: SLF001
    return shallow
