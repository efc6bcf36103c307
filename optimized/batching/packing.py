"""Sequences one behind the other, without padding: what makes a transformers encoder answer them apart.

    ids of all sequences, [1, tokens] --embeddings--> hidden --layers--> hidden --split--> one row a sequence
    positions from 0 in each                                  |
                                          attention, within each sequence alone (Packing.attend)

Everything in an encoder but attention works on tokens one by one, so only attention has to know where one
sequence ends. transformers lets a function of one's own take its place; where each sequence lies reaches it
as an argument of the forward pass. On CUDA it is PyTorch's variable-length flash attention, on the CPU one
product for each sequence, which tests can compare with plain batches.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from transformers import AttentionInterface

from baselines.models.cuda import to_device
from baselines.models.resize import encoder_of, layers_of
from baselines.models.span_classifier import SpanClassifier
from harness.common.errors import CheckpointError, DeviceError
from harness.systems.interface import EncodedSequence

NAME: Literal["packed"] = "packed"
"""Attention's name in transformers' table."""

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra")
"""Families whose positions and heads are known here."""

_FLASH_STEP = 8
"""The kernel wants a head size that this divides."""

Attend = Callable[["Packing", torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""Attention of [tokens, heads, size] within each sequence, scaled as told."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where each sequence begins among all tokens: `edges` on the host, and int32 on the device."""

    edges: tuple[int, ...]
    starts: torch.Tensor
    attend: Attend

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(end - start for start, end in zip(self.edges, self.edges[1:], strict=False))


def one_by_one(
    packing: Packing, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attend by one product for each sequence: right anywhere, and fast where there are few cores."""
    parts = []
    for start, end in zip(packing.edges, packing.edges[1:], strict=False):
        mine = [each[start:end].transpose(0, 1) for each in (query, key, value)]
        parts.append(torch.nn.functional.scaled_dot_product_attention(*mine, scale=scale).transpose(0, 1))
    return torch.cat(parts)


def by_flash(kernel: Callable[..., torch.Tensor]) -> Attend:
    """Attend to all sequences by one call of a kernel with the arguments of PyTorch's `varlen_attn`.

    Head sizes that it cannot take, such as the 26 of the paper's student, are filled up with zeros: they add
    nothing to any product.
    """

    def attend(
        packing: Packing, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        size = query.shape[-1]
        filled = [torch.nn.functional.pad(each, (0, -size % _FLASH_STEP)) for each in (query, key, value)]
        starts, longest = packing.starts, packing.longest
        found = kernel(*filled, starts, starts, longest, longest, scale=scale)
        return found[..., :size]

    return attend


def attend_on(device: torch.device, precision: torch.dtype) -> Attend:
    """Return attention for a device; DeviceError where PyTorch has none for variable lengths there."""
    if device.type == "cpu":
        return one_by_one
    if precision not in (torch.bfloat16, torch.float16):
        raise DeviceError("packed attention on CUDA is for 16 bits.", remedy="Use bfloat16 or float16.")
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        varlen_attn = None
    if varlen_attn is None or "scale" not in inspect.signature(varlen_attn).parameters:
        raise DeviceError(
            f"PyTorch {torch.__version__} has no variable-length attention with a scale.",
            remedy="Install a newer PyTorch (2.13 has it), or use pytorch-sorted-bf16.",
        )
    return by_flash(varlen_attn)


def _in_place_of_attention(
    module: Any,  # noqa: ANN401 -- the attention layer
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    packing: Packing | None = None,
    **_: Any,  # noqa: ANN401 -- what other kernels read
) -> tuple[torch.Tensor, None]:
    """Attend within each sequence; [1, heads, tokens, size] in, [1, tokens, heads, size] out."""
    if packing is None or attention_mask is not None:
        raise CheckpointError(f"{type(module).__name__} does not pass on where sequences begin.")
    plain = [each[0].transpose(0, 1) for each in (query, key, value)]
    found = packing.attend(packing, plain[0], plain[1], plain[2], scaling or query.shape[-1] ** -0.5)
    return found.unsqueeze(0), None


AttentionInterface.register(NAME, _in_place_of_attention)


class PackedModel:
    """A classifier, loaded with attention `packed`, that answers sequences one behind the other."""

    def __init__(self, model: Any, attend: Attend, segments: bool) -> None:  # noqa: ANN401
        self._model, self._attend, self._segments = model, attend, segments
        encoder = encoder_of(model)
        # RoBERTa and its like count positions from the padding id + 1
        self._first = getattr(encoder.embeddings, "padding_idx", -1) + 1
        self._spans = isinstance(model, SpanClassifier)
        stack = getattr(encoder, "transformer", None) or encoder.encoder
        stack.register_forward_hook(self._apart, with_kwargs=True)

    def launch(self, sequences: Sequence[EncodedSequence]) -> torch.Tensor:
        """Return logits [sequences, labels], float32, on the model's device, maybe not there yet."""
        lengths = [len(sequence.ids) for sequence in sequences]
        edges = np.concatenate(([0], np.cumsum(lengths)))
        positions = np.concatenate([np.arange(length) for length in lengths]) + self._first
        ids = np.concatenate([sequence.ids for sequence in sequences])
        segments = np.concatenate([sequence.segments for sequence in sequences])
        device = self._model.device
        # one copy to the device for all that is as long as the tokens
        together = to_device(torch.from_numpy(np.stack([ids, positions, segments]).astype(np.int64)), device)
        starts = to_device(torch.from_numpy(edges.astype(np.int32)), device)
        packing = Packing(tuple(int(edge) for edge in edges), starts, self._attend)
        inputs: dict[str, Any] = {"input_ids": together[0:1], "position_ids": together[1:2]}
        if self._segments:
            inputs["token_type_ids"] = together[2:3]
        if self._spans:
            inputs["spans"] = to_device(torch.tensor([each.spans for each in sequences]), device)
        with torch.inference_mode():
            found = self._model(**inputs, packing=packing)
            return (found if isinstance(found, torch.Tensor) else found.logits).float()

    def _apart(self, _stack: Any, _given: Any, named: dict[str, Any], found: Any) -> Any:  # noqa: ANN401
        """Give each sequence a row of its own once the layers are done: heads read a row's first token."""
        packing: Packing = named["packing"]
        hidden = found.last_hidden_state[0]
        if self._spans:
            lengths = [end - start for start, end in zip(packing.edges, packing.edges[1:], strict=False)]
            rows = torch.nn.utils.rnn.pad_sequence(hidden.split(lengths), batch_first=True)
        else:
            rows = hidden[packing.starts[:-1].long()].unsqueeze(1)
        found.last_hidden_state = rows
        return found


def require_packable(model: Any, packed: PackedModel, name: str) -> None:  # noqa: ANN401
    """Answer two sequences, and raise CheckpointError unless every layer attended within them."""
    calls = 0
    attend = packed._attend  # noqa: SLF001 -- watched for one call

    def counted(*given: Any) -> torch.Tensor:  # noqa: ANN401
        nonlocal calls
        calls += 1
        return attend(*given)

    packed._attend = counted  # noqa: SLF001
    try:
        packed.launch([_probe(3), _probe(5)])
    finally:
        packed._attend = attend  # noqa: SLF001
    if calls != len(layers_of(model)):
        raise not_packable(name)


def not_packable(name: str) -> CheckpointError:
    """Return the error for an encoder whose attention cannot be replaced."""
    return CheckpointError(
        f"its sequences cannot be packed; known families: {', '.join(FAMILIES)}.",
        where=name,
        remedy="Use pytorch-sorted-bf16, which works for every family.",
    )


def _probe(length: int) -> EncodedSequence:
    ids = np.ones(length, dtype=np.int64)
    return EncodedSequence(ids, np.zeros_like(ids), ((0, 1), (1, 2)))
