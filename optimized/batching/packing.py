"""Packing of sequences into one row without padding, for transformers encoders.

    ids of all sequences, [1, tokens] --embeddings--> hidden --layers--> hidden --split--> row per sequence
    positions from 0 in each                                  |
                                          attention within each sequence only (Packing.attend)

Every operation of an encoder but attention works on single tokens, so only attention needs the boundaries of
the sequences. transformers accepts a custom attention function, which gets the boundaries as an argument of
the forward pass. On CUDA it is PyTorch's variable-length flash attention, on the CPU one product per
sequence, which tests compare with plain batches.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from transformers import AttentionInterface

from baselines.models.cuda import to_device
from baselines.models.resize import encoder_of, layers_of
from baselines.models.span_classifier import SpanClassifier
from harness.common.errors import CheckpointError, DeviceError, UnsupportedError
from harness.systems.interface import EncodedSequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import BaseModelOutput

ATTENTION: Literal["packed"] = "packed"
"""The name under which this attention is registered in transformers."""

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra")
"""Model families whose position ids and heads this module supports."""

_FLASH_STEP = 8
"""The kernel requires head sizes that are multiples of this."""

Attend = Callable[["Packing", torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""Attention of query, key and value [tokens, heads, size] within each sequence, with the given scale."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where each sequence begins among all tokens: `edges` on the host, `starts` (int32) on the device."""

    edges: tuple[int, ...]
    starts: torch.Tensor
    attend: Attend

    @property
    def longest(self) -> int:
        """The number of tokens of the longest sequence."""
        return max(end - start for start, end in zip(self.edges, self.edges[1:], strict=False))


def attend_per_sequence(
    packing: Packing, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attend by one product per sequence: correct on any device, and fast on few cores."""
    parts = []
    for start, end in zip(packing.edges, packing.edges[1:], strict=False):
        rows = [tensor[start:end].transpose(0, 1) for tensor in (query, key, value)]
        parts.append(torch.nn.functional.scaled_dot_product_attention(*rows, scale=scale).transpose(0, 1))
    return torch.cat(parts)


def flash_attention(kernel: Callable[..., torch.Tensor]) -> Attend:
    """Attend to all sequences in one call of a kernel that has the arguments of PyTorch's `varlen_attn`.

    Head sizes that it does not support, such as the 26 of the paper's student, are padded with zeros, which
    add nothing to any product.
    """

    def attend(
        packing: Packing, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        size = query.shape[-1]
        padding = (0, -size % _FLASH_STEP)
        padded = [torch.nn.functional.pad(tensor, padding) for tensor in (query, key, value)]
        starts, longest = packing.starts, packing.longest
        return kernel(*padded, starts, starts, longest, longest, scale=scale)[..., :size]

    return attend


def attention_for(device: torch.device, precision: torch.dtype) -> Attend:
    """Return the attention for a device; DeviceError where PyTorch has none for variable lengths."""
    if device.type == "cpu":
        return attend_per_sequence
    if precision not in (torch.bfloat16, torch.float16):
        raise DeviceError(
            f"packed attention on CUDA needs bfloat16 or float16, got {precision}.",
            remedy="Use pytorch-packed-bf16 or pytorch-packed-fp16.",
        )
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        varlen_attn = None
    if varlen_attn is None or "scale" not in inspect.signature(varlen_attn).parameters:
        raise DeviceError(
            f"PyTorch {torch.__version__} has no variable-length attention with a scale.",
            remedy="Install a newer PyTorch (2.13 has it), or use pytorch-sorted-bf16.",
        )
    return flash_attention(varlen_attn)


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    packing: Packing | None = None,
    **_: object,  # arguments of other kernels
) -> tuple[torch.Tensor, None]:
    """Attend within each sequence; [1, heads, tokens, size] in, [1, tokens, heads, size] out."""
    if packing is None or attention_mask is not None:
        raise UnsupportedError(f"{type(module).__name__} does not pass sequence boundaries to attention.")
    rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
    attended = packing.attend(packing, rows[0], rows[1], rows[2], scaling or query.shape[-1] ** -0.5)
    return attended.unsqueeze(0), None


AttentionInterface.register(ATTENTION, _packed_attention)


class PackedModel:
    """A classifier, loaded with attention `packed`, that answers packed sequences."""

    def __init__(self, model: "PreTrainedModel", attend: Attend, segments: bool) -> None:
        self._model, self._attend, self._segments = model, attend, segments
        encoder = encoder_of(model)
        # RoBERTa and its relatives count positions from the padding id + 1
        self._first_position = getattr(encoder.embeddings, "padding_idx", -1) + 1
        self._spans = isinstance(model, SpanClassifier)
        stack = getattr(encoder, "transformer", None) or encoder.encoder
        stack.register_forward_hook(self._split_sequences, with_kwargs=True)

    def launch(self, sequences: Sequence[EncodedSequence]) -> torch.Tensor:
        """Return logits [sequences, labels], float32, on the model's device; they may still be computed."""
        lengths = [len(sequence.ids) for sequence in sequences]
        edges = np.concatenate(([0], np.cumsum(lengths)))
        positions = np.concatenate([np.arange(length) for length in lengths]) + self._first_position
        ids = np.concatenate([sequence.ids for sequence in sequences])
        segments = np.concatenate([sequence.segments for sequence in sequences])
        device = self._model.device
        # one copy to the device for all arrays of one number per token
        stacked = to_device(torch.from_numpy(np.stack([ids, positions, segments]).astype(np.int64)), device)
        starts = to_device(torch.from_numpy(edges.astype(np.int32)), device)
        packing = Packing(tuple(int(edge) for edge in edges), starts, self._attend)
        inputs: dict[str, Any] = {"input_ids": stacked[0:1], "position_ids": stacked[1:2]}
        if self._segments:
            inputs["token_type_ids"] = stacked[2:3]
        if self._spans:
            inputs["spans"] = to_device(torch.tensor([sequence.spans for sequence in sequences]), device)
        with torch.inference_mode():
            output = self._model(**inputs, packing=packing)
            return (output if isinstance(output, torch.Tensor) else output.logits).float()

    def _split_sequences(
        self,
        _stack: torch.nn.Module,
        _args: tuple[object, ...],
        kwargs: dict[str, Any],
        output: "BaseModelOutput",
    ) -> "BaseModelOutput":
        """Give each sequence a row of its own after the layers: heads read the first token of each row."""
        packing: Packing = kwargs["packing"]
        hidden = output.last_hidden_state[0]
        if self._spans:
            lengths = [end - start for start, end in zip(packing.edges, packing.edges[1:], strict=False)]
            rows = torch.nn.utils.rnn.pad_sequence(hidden.split(lengths), batch_first=True)
        else:
            rows = hidden[packing.starts[:-1].long()].unsqueeze(1)
        output.last_hidden_state = rows
        return output


def require_packable(model: "PreTrainedModel", packed: PackedModel, name: str) -> None:
    """Answer two sequences, and raise CheckpointError unless every layer used the packed attention."""
    calls = 0
    attend = packed._attend  # noqa: SLF001 -- its calls are counted

    def count_and_attend(
        packing: Packing, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return attend(packing, query, key, value, scale)

    packed._attend = count_and_attend  # noqa: SLF001
    try:
        packed.launch([_probe(3), _probe(5)])
    finally:
        packed._attend = attend  # noqa: SLF001
    if calls != len(layers_of(model)):
        raise packing_error(name)


def packing_error(name: str) -> CheckpointError:
    """Return the error for an encoder whose attention cannot be replaced."""
    return UnsupportedError(
        f"packing does not support its attention; supported families: {', '.join(FAMILIES)}.",
        where=name,
        remedy="Use pytorch-sorted-bf16, which works for every family.",
    )


def _probe(length: int) -> EncodedSequence:
    ids = np.ones(length, dtype=np.int64)
    return EncodedSequence(ids, np.zeros_like(ids), ((0, 1), (1, 2)))
