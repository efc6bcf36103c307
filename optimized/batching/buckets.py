"""Forward passes captured at fixed lengths and replayed: what CUDA graphs need of a model.

    load:    for each length  static inputs --forward pass--> static logits      captured
    request: ids, padded to the next length --copy--> static inputs, replay --> static logits --copy--> host

One short request keeps a GPU busy for less time than the host needs to launch the kernels of its forward
pass; a graph launches them all at once. It holds addresses, so its inputs and outputs must stay in place.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from baselines.encoding.batching import Padded
from baselines.models.classifier import input_names, logits_of
from baselines.models.cuda import fill
from baselines.models.span_classifier import SPANS
from harness.common.errors import DeviceError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WARM_UP_PASSES = 3
"""Passes before capture, as PyTorch's documentation requires: libraries initialise in them."""

ForwardPass = Callable[[], torch.Tensor]
Capture = Callable[[ForwardPass], ForwardPass]
"""Takes one pass over static inputs; returns a function that repeats it, into the same tensor or another."""


def bucket_lengths(longest: int, step: int) -> tuple[int, ...]:
    """Return the multiples of `step` below `longest`, and `longest` itself."""
    return (*range(step, longest, step), longest)


def bucket_for(tokens: int, lengths: Sequence[int]) -> int:
    """Return the smallest of the ascending lengths that holds this many tokens."""
    return lengths[bisect_left(lengths, tokens)]


def cuda_capture(device: torch.device) -> Capture:
    """Return a function that captures CUDA graphs in one memory pool and raises DeviceError on failure."""
    pool = torch.cuda.graph_pool_handle()

    def capture(forward: ForwardPass) -> ForwardPass:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(device):
                _warm_up(forward)
                with torch.cuda.graph(graph, pool=pool):
                    logits = forward()
        except RuntimeError as problem:
            first_line = (str(problem).splitlines() or [""])[0]
            raise DeviceError(
                f"its forward pass cannot be captured as a CUDA graph ({first_line}).",
                remedy="Use pytorch-bf16 or pytorch-fp16, which launch every kernel separately.",
            ) from problem

        def replay() -> torch.Tensor:
            graph.replay()
            return logits

        return replay

    return capture


def _warm_up(forward: ForwardPass) -> None:
    """Run the pass on a side stream, as capture requires."""
    side, current = torch.cuda.Stream(), torch.cuda.current_stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP_PASSES):
            forward()
    current.wait_stream(side)


class Buckets:
    """A model's forward pass over one sequence, captured at several lengths."""

    def __init__(self, model: "PreTrainedModel", lengths: Sequence[int], capture: Capture) -> None:
        self.lengths = tuple(lengths)
        # the longest first: the graphs of shorter ones reuse its memory
        self._passes = {length: _CapturedPass(model, length, capture) for length in reversed(self.lengths)}

    def launch(self, padded: Padded) -> torch.Tensor:
        """Return logits [sequences, labels], float32, on the model's device: one replay per sequence."""
        rows = []
        for row, tokens in enumerate(padded.mask.sum(axis=1).tolist()):
            captured = self._passes[bucket_for(tokens, self.lengths)]
            rows.append(captured.launch(padded, row, tokens))
        return torch.cat(rows)


class _CapturedPass:
    """Static inputs of one length, and the pass that was captured over them."""

    def __init__(self, model: "PreTrainedModel", length: int, capture: Capture) -> None:
        names, device, dtype = input_names(model), model.device, model.dtype
        # ids, segments and mask as rows of one tensor: one copy brings them to the device
        self._rows = torch.zeros((3, length), dtype=torch.long, device=device)
        self._spans = torch.tensor([[[0, 1]] * SPANS], device=device) if "spans" in names else None

        def forward() -> torch.Tensor:
            with torch.no_grad():
                # an additive mask in four dimensions: transformers would otherwise build its own mask from
                # the values of the inputs, which a captured pass must not read
                mask = (1 - self._rows[2]).to(dtype)[None, None, None] * torch.finfo(dtype).min
                inputs = {"input_ids": self._rows[0:1], "token_type_ids": self._rows[1:2]}
                inputs |= {"attention_mask": mask, "spans": self._spans}
                return logits_of(model, {name: inputs[name] for name in names}).float()

        self._replay = capture(forward)

    def launch(self, padded: Padded, row: int, tokens: int) -> torch.Tensor:
        """Copy one sequence into the inputs and replay the pass; return a copy of its logits."""
        inputs = np.zeros(tuple(self._rows.shape), dtype=np.int64)
        inputs[0, :tokens] = padded.ids[row, :tokens]
        inputs[1, :tokens] = padded.segments[row, :tokens]
        inputs[2, :tokens] = 1
        # ordered by the stream, hence after the previous pass has read what this overwrites
        fill(self._rows, torch.from_numpy(inputs))
        if self._spans is not None and padded.spans is not None:
            fill(self._spans, torch.from_numpy(padded.spans[row : row + 1]))
        return self._replay().clone()
