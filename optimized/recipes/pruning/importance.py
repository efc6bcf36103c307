"""The importance of heads and feed-forward units: the first-order change of the loss without each of them.

FastFormers (Kim and Hassan 2020, section 3.2) after Michel et al. (1905.10650): multiply the output of every
head and unit by a factor of 1. The derivative of the loss by a factor is, to first order, the change of the
loss if the factor were 0. A head's factor scales its input to the output projection. A unit's factor scales
its input to the activation, so its derivative is the sum of gradient times weight over its row of the first
map and its bias, the published formula. Where units are gated, the factor scales the product of both.

Each example has its own factors, and absolute derivatives are summed over examples. So a score depends
neither on the batches nor on the order of the examples, and an element that lowers the loss of one example
and raises that of another keeps both contributions. The model is in inference mode with frozen weights: only
factors have gradients, which also halves the time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, logits_of, tensors_of
from baselines.models.families.layers import distinct_layers, facts_about, pooling_of
from baselines.models.resize import wide_norms
from baselines.training.objective import choice_loss, label_losses
from harness.workload.tasks.base import Head

if TYPE_CHECKING:
    from baselines.training.datasets import TrainingItem

SEQUENCES_AT_ONCE = 16
TOKENS_AT_ONCE = 4096
"""Padded tokens of a pass. They bound memory: about 3 GiB beside the weights for 12 layers of width 768."""


@dataclass(frozen=True, slots=True)
class Importance:
    """The scores of each layer's heads and units, of the components of the width and of the pooled vector.

    Scores are sums over `items` training items (an example, or a choice with all candidates), which have
    `tokens` tokens.
    """

    heads: tuple[tuple[float, ...], ...]
    units: tuple[tuple[float, ...], ...]
    width: tuple[float, ...]
    pooled: tuple[float, ...]
    items: int
    tokens: int


def measure_importance(
    model: Module,
    items: "Sequence[TrainingItem]",
    head: Head,
    pad_id: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Importance:
    """Score the model in one pass over the items; `progress` is called with the finished fraction."""
    model.eval().requires_grad_(requires_grad=False)
    sizes = _factor_counts(model)
    totals = {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}
    done = 0
    for batch in batches(items):
        for name, gradient in _gradients(model, batch, head, pad_id, sizes).items():
            totals[name] += gradient.abs().sum(0)
        done += len(batch)
        progress(done / len(items))
    layers = facts_about(model).shared_with
    return Importance(
        heads=tuple(tuple(totals[f"heads {layer}"].tolist()) for layer in layers),
        units=tuple(tuple(totals[f"units {layer}"].tolist()) for layer in layers),
        width=tuple(totals["width"].tolist()),
        pooled=tuple(totals["pooled"].tolist()),
        items=len(items),
        tokens=sum(item.tokens for item in items),
    )


def batches(items: "Sequence[TrainingItem]") -> "Iterator[list[TrainingItem]]":
    """Yield batches of items with similar length, longest first; an item above the limits is a batch."""
    batch: list[TrainingItem] = []
    sequences = longest = 0
    for item in sorted(items, key=_longest, reverse=True):
        sequences += len(item.sequences)
        longest = max(longest, _longest(item))
        if batch and (sequences > SEQUENCES_AT_ONCE or sequences * longest > TOKENS_AT_ONCE):
            yield batch
            batch, sequences, longest = [], len(item.sequences), _longest(item)
        batch.append(item)
    if batch:
        yield batch


def _longest(item: "TrainingItem") -> int:
    return max(len(sequence.ids) for sequence in item.sequences)


def _factor_counts(model: Module) -> dict[str, int]:
    layers = distinct_layers(model)
    dense, _ = pooling_of(model)
    return {
        **{f"heads {index}": layer.heads for index, layer in enumerate(layers)},
        **{f"units {index}": layer.units for index, layer in enumerate(layers)},
        "width": layers[0].up.in_features,
        "pooled": dense.out_features if dense is not None else 0,
    }


def _gradients(
    model: Module, batch: "Sequence[TrainingItem]", head: Head, pad_id: int, sizes: Mapping[str, int]
) -> dict[str, Tensor]:
    """Return the derivative of each item's loss by each of its factors: [items, factors], by kind."""
    factors = {name: torch.ones(len(batch), size, requires_grad=True) for name, size in sizes.items()}
    sequences = [sequence for item in batch for sequence in item.sequences]
    owners = torch.tensor([index for index, item in enumerate(batch) for _ in item.sequences])
    names = input_names(model)
    at_once = max(1, min(SEQUENCES_AT_ONCE, TOKENS_AT_ONCE // max(map(_longest, batch))))

    def logits_from(start: int) -> Tensor:
        part = slice(start, start + at_once)
        inputs = tensors_of(pad(sequences[part], pad_id), names)
        with _scaled(model, factors, owners[part]):
            return logits_of(model, inputs)

    starts = range(0, len(sequences), at_once)
    if len(starts) == 1:
        _loss(logits_from(0), batch, head).backward()
    else:
        # all candidates of a choice share one loss: first its derivative by the logits, then part by part
        with torch.no_grad():
            logits = torch.cat([logits_from(start) for start in starts])
        logits.requires_grad_()
        (by_logits,) = torch.autograd.grad(_loss(logits, batch, head), logits)
        for start in starts:
            logits_from(start).backward(by_logits[start : start + at_once])
    return {
        name: torch.zeros(len(batch), sizes[name]) if factor.grad is None else factor.grad
        for name, factor in factors.items()
    }


def _loss(logits: Tensor, batch: "Sequence[TrainingItem]", head: Head) -> Tensor:
    """Return the sum of the items' losses; an item's factors affect its own term only."""
    targets = torch.tensor([target for item in batch for target in item.targets])
    if head == "multi_label":
        return label_losses(logits, targets).sum()
    if head != "choice":
        return cross_entropy(logits, targets, reduction="sum")
    sizes = [len(item.sequences) for item in batch]
    parts = zip(logits[:, 0].split(sizes), targets.split(sizes), sizes, strict=True)
    return torch.stack([choice_loss(scores, right, [size]) for scores, right, size in parts]).sum()


@contextmanager
def _scaled(model: Module, factors: Mapping[str, Tensor], owners: Tensor) -> Iterator[None]:
    """Scale heads, units, width and pooled vector of each sequence by the factors of its item, `owners`."""

    def factors_of(name: str) -> Tensor:
        return factors[name][owners]

    with ExitStack() as hooks:
        for index, layer in enumerate(distinct_layers(model)):
            by_component = factors_of(f"heads {index}").repeat_interleave(layer.head_size, dim=1)
            hooks.callback(layer.out.register_forward_pre_hook(_scale_input(by_component)).remove)
            units = factors_of(f"units {index}")
            if layer.gate is None:
                hooks.callback(layer.up.register_forward_hook(_scale_output(units)).remove)
            else:
                hooks.callback(layer.down.register_forward_pre_hook(_scale_input(units)).remove)
        for norm in wide_norms(model):
            hooks.callback(norm.register_forward_hook(_scale_output(factors_of("width"))).remove)
        dense, _ = pooling_of(model)
        if dense is not None:
            hooks.callback(dense.register_forward_hook(_scale_output(factors_of("pooled"))).remove)
        yield


def _scale_input(factor: Tensor) -> Callable[[Module, tuple[Tensor, ...]], tuple[Tensor]]:
    return lambda _module, inputs: (_times(inputs[0], factor),)


def _scale_output(factor: Tensor) -> Callable[[Module, tuple[Tensor, ...], Tensor], Tensor]:
    return lambda _module, _inputs, output: _times(output, factor)


def _times(states: Tensor, factor: Tensor) -> Tensor:
    """Scale states [sequences, tokens, width] or [sequences, width] by factors [sequences, width]."""
    return states * (factor if states.dim() == 2 else factor.unsqueeze(1))  # noqa: PLR2004
