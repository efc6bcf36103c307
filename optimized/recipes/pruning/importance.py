"""How much each head and each feed-forward unit matters: the first-order change of the loss without it.

FastFormers (Kim and Hassan 2020, section 3.2) after Michel et al. (1905.10650): give every head and unit a
factor of 1; the derivative of the loss by that factor is what the loss would change by, to first order, were
it 0. A head's factor scales what it hands to the output projection. A unit's scales its input to the
activation, which makes the derivative the sum of gradient times weight over its row of the first map and its
bias, the published formula.

Each example has factors of its own, and absolute values are summed over examples. So a score depends neither
on how examples are batched nor on their order, and what helps one example and harms another still counts. The
model is in inference mode with its weights frozen: only factors have gradients, which also halves the time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, logits_of, tensors_of
from baselines.models.resize import encoder_of, layers_of, pooling_of
from baselines.training.objective import choice_loss
from harness.workload.tasks.base import Head

if TYPE_CHECKING:
    from baselines.training.datasets import TrainingItem

SEQUENCES_AT_ONCE = 16
TOKENS_AT_ONCE = 4096
"""Padded tokens a pass: they bound memory, at 12 layers of 768 about 3 GiB beside the weights."""

Loss = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True, slots=True)
class Importance:
    """One score for each head and unit of each layer, each component of the width and of what is pooled.

    Scores are sums over `lessons` (an example, or a choice with its candidates); `tokens` counts theirs.
    """

    heads: tuple[tuple[float, ...], ...]
    units: tuple[tuple[float, ...], ...]
    width: tuple[float, ...]
    pooled: tuple[float, ...]
    lessons: int
    tokens: int


def measure_importance(
    model: Any,  # noqa: ANN401 -- transformers has no types
    lessons: "Sequence[TrainingItem]",
    head: Head,
    pad_id: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Importance:
    """Score the model as it stands, in one pass over the lessons; `progress` is told the share done."""
    model.eval().requires_grad_(requires_grad=False)
    sizes = _sizes(model)
    totals = {name: torch.zeros(size, dtype=torch.float64) for name, size in sizes.items()}
    done = 0
    for batch in batches(lessons):
        for name, gradient in _gradients(model, batch, head, pad_id, sizes).items():
            totals[name] += gradient.abs().sum(0)
        done += len(batch)
        progress(done / len(lessons))
    layers = range(len(layers_of(model)))
    return Importance(
        heads=tuple(tuple(totals[f"heads {layer}"].tolist()) for layer in layers),
        units=tuple(tuple(totals[f"units {layer}"].tolist()) for layer in layers),
        width=tuple(totals["width"].tolist()),
        pooled=tuple(totals["pooled"].tolist()),
        lessons=len(lessons),
        tokens=sum(lesson.tokens for lesson in lessons),
    )


def batches(lessons: "Sequence[TrainingItem]") -> "Iterator[list[TrainingItem]]":
    """Yield lessons of like length together, longest first; one that is too large alone comes alone."""
    batch: list[TrainingItem] = []
    sequences = longest = 0
    for lesson in sorted(lessons, key=_longest, reverse=True):
        sequences += len(lesson.sequences)
        longest = max(longest, _longest(lesson))
        if batch and (sequences > SEQUENCES_AT_ONCE or sequences * longest > TOKENS_AT_ONCE):
            yield batch
            batch, sequences, longest = [], len(lesson.sequences), _longest(lesson)
        batch.append(lesson)
    if batch:
        yield batch


def _longest(lesson: "TrainingItem") -> int:
    return max(len(sequence.ids) for sequence in lesson.sequences)


def _sizes(model: Any) -> dict[str, int]:  # noqa: ANN401
    """Return how many factors there are of each kind."""
    layers = layers_of(model)
    dense, _ = pooling_of(model)
    return {
        **{f"heads {at}": layer.heads for at, layer in enumerate(layers)},
        **{f"units {at}": layer.up.out_features for at, layer in enumerate(layers)},
        "width": layers[0].up.in_features,
        "pooled": dense.out_features if dense is not None else 0,
    }


def _gradients(
    model: Any,  # noqa: ANN401
    batch: "Sequence[TrainingItem]",
    head: Head,
    pad_id: int,
    sizes: Mapping[str, int],
) -> dict[str, Tensor]:
    """Return the derivative of each lesson's loss by each of its factors: [lessons, factors], by kind."""
    factors = {name: torch.ones(len(batch), size, requires_grad=True) for name, size in sizes.items()}
    sequences = [sequence for lesson in batch for sequence in lesson.sequences]
    owners = torch.tensor([at for at, lesson in enumerate(batch) for _ in lesson.sequences])
    names = input_names(model)

    def answer(start: int) -> Tensor:
        part = slice(start, start + at_once)
        inputs = tensors_of(pad(sequences[part], pad_id), names)
        with _scaled(model, factors, owners[part]):
            return logits_of(model, inputs)

    at_once = max(1, min(SEQUENCES_AT_ONCE, TOKENS_AT_ONCE // max(len(each.ids) for each in sequences)))
    starts = range(0, len(sequences), at_once)
    if len(starts) == 1:
        _loss(answer(0), batch, head).backward()
    else:
        # candidates compete in one loss: its derivative by all their scores first, then part by part
        with torch.no_grad():
            logits = torch.cat([answer(start) for start in starts])
        logits.requires_grad_()
        (pull,) = torch.autograd.grad(_loss(logits, batch, head), logits)
        for start in starts:
            answer(start).backward(pull[start : start + at_once])
    found = {name: factor.grad for name, factor in factors.items()}
    return {name: torch.zeros(len(batch), sizes[name]) if got is None else got for name, got in found.items()}


def _loss(logits: Tensor, batch: "Sequence[TrainingItem]", head: Head) -> Tensor:
    """Return the sum of the lessons' losses: a lesson's factors reach its own term only."""
    targets = torch.tensor([target for lesson in batch for target in lesson.targets])
    if head != "choice":
        return cross_entropy(logits, targets, reduction="sum")
    sizes = [len(lesson.sequences) for lesson in batch]
    parts = zip(logits[:, 0].split(sizes), targets.split(sizes), sizes, strict=True)
    return torch.stack([choice_loss(scores, right, [size]) for scores, right, size in parts]).sum()


@contextmanager
def _scaled(model: Any, factors: Mapping[str, Tensor], owners: Tensor) -> Iterator[None]:  # noqa: ANN401
    """Scale what passes through heads, units, width and pooling by the factors of each sequence's lesson."""

    def of(name: str) -> Tensor:
        return factors[name][owners]

    with ExitStack() as hooks:
        for at, layer in enumerate(layers_of(model)):
            wide = of(f"heads {at}").repeat_interleave(layer.head_size, dim=1)
            hooks.callback(layer.out.register_forward_pre_hook(_before(wide)).remove)
            hooks.callback(layer.up.register_forward_hook(_after(of(f"units {at}"))).remove)
        for module in encoder_of(model).modules():
            if isinstance(module, torch.nn.LayerNorm):
                hooks.callback(module.register_forward_hook(_after(of("width"))).remove)
        dense, _ = pooling_of(model)
        if dense is not None:
            hooks.callback(dense.register_forward_hook(_after(of("pooled"))).remove)
        yield


def _before(factor: Tensor) -> Callable[[Any, tuple[Tensor, ...]], tuple[Tensor]]:
    return lambda _module, inputs: (_times(inputs[0], factor),)


def _after(factor: Tensor) -> Callable[[Any, Any, Tensor], Tensor]:
    return lambda _module, _inputs, output: _times(output, factor)


def _times(states: Tensor, factor: Tensor) -> Tensor:
    """Scale states [sequences, tokens, width] or [sequences, width] by factors [sequences, width]."""
    return states * (factor if states.dim() == 2 else factor.unsqueeze(1))  # noqa: PLR2004
