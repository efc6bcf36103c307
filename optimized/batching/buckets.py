"""A forward pass at fixed lengths, recorded once and replayed: what a CUDA graph needs of a model.

    load:    for each length  static inputs --forward pass--> static logits      recorded
    request: ids, padded to the next length --copy--> static inputs, replay --> static logits --copy--> host

One short request keeps a GPU busy for less time than it takes the host to start the kernels of its forward
pass; a graph starts them all at once. It holds addresses, so all that it reads and writes stays where it is.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from baselines.encoding.batching import Padded
from baselines.models.classifier import input_names, logits_of
from baselines.models.cuda import fill
from baselines.models.span_classifier import SPANS
from harness.common.errors import DeviceError

_WARM_UP = 3
"""Passes before one is recorded, as PyTorch's documentation asks: libraries set themselves up in them."""

Step = Callable[[], torch.Tensor]
Record = Callable[[Step], Step]
"""Given one pass over static inputs, returns what does it again, into the same tensor or another."""


def lengths_up_to(most: int, step: int) -> tuple[int, ...]:
    """Return the multiples of `step` below `most`, and `most` itself."""
    return (*range(step, most, step), most)


def length_for(tokens: int, lengths: Sequence[int]) -> int:
    """Return the smallest of the ascending lengths that holds so many tokens."""
    return lengths[bisect_left(lengths, tokens)]


def on_cuda(device: torch.device) -> Record:
    """Return what records CUDA graphs on a device, all in one pool of memory; DeviceError where it cannot."""
    pool = torch.cuda.graph_pool_handle()

    def record(step: Step) -> Step:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(device):
                _warmed(step)
                with torch.cuda.graph(graph, pool=pool):
                    logits = step()
        except RuntimeError as problem:
            first = (str(problem).splitlines() or [""])[0]
            raise DeviceError(
                f"its forward pass cannot be recorded as a CUDA graph ({first}).",
                remedy="Use pytorch-bf16 or pytorch-fp16, which launch every kernel by themselves.",
            ) from problem

        def replay() -> torch.Tensor:
            graph.replay()
            return logits

        return replay

    return record


def _warmed(step: Step) -> None:
    """Run the pass on a stream of its own, before it is recorded."""
    aside, here = torch.cuda.Stream(), torch.cuda.current_stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            step()
    here.wait_stream(aside)


class Buckets:
    """A model's forward pass of one sequence, recorded at several lengths."""

    def __init__(self, model: Any, lengths: Sequence[int], record: Record) -> None:  # noqa: ANN401
        self.lengths = tuple(lengths)
        # the longest first: the graphs of shorter ones find room in its memory
        self._passes = {length: _Pass(model, length, record) for length in reversed(self.lengths)}

    def launch(self, padded: Padded) -> torch.Tensor:
        """Return logits [sequences, labels], float32, on the model's device: one replay a sequence."""
        rows = []
        for row, tokens in enumerate(padded.mask.sum(axis=1).tolist()):
            one = self._passes[length_for(tokens, self.lengths)]
            rows.append(one.launch(padded, row, tokens))
        return torch.cat(rows)


class _Pass:
    """One length: static inputs, and the pass that was recorded over them."""

    def __init__(self, model: Any, length: int, record: Record) -> None:  # noqa: ANN401
        names, device, kind = input_names(model), model.device, model.dtype
        # ids, segments and mask as rows of one tensor: one copy brings them to the device
        self._rows = torch.zeros((3, length), dtype=torch.long, device=device)
        self._spans = torch.tensor([[[0, 1]] * SPANS], device=device) if "spans" in names else None

        def step() -> torch.Tensor:
            with torch.no_grad():
                # added to attention's scores, in four dimensions: transformers then makes no mask of its
                # own, which would look at values, and a recorded pass must not
                mask = (1 - self._rows[2]).to(kind)[None, None, None] * torch.finfo(kind).min
                given = {"input_ids": self._rows[0:1], "token_type_ids": self._rows[1:2]}
                given |= {"attention_mask": mask, "spans": self._spans}
                return logits_of(model, {name: given[name] for name in names}).float()

        self._again = record(step)

    def launch(self, padded: Padded, row: int, tokens: int) -> torch.Tensor:
        """Fill the inputs with one sequence, and do the pass again; its logits are a copy."""
        given = np.zeros(tuple(self._rows.shape), dtype=np.int64)
        given[0, :tokens] = padded.ids[row, :tokens]
        given[1, :tokens] = padded.segments[row, :tokens]
        given[2, :tokens] = 1
        # in the order of the queue, hence after the pass before has read what this overwrites
        fill(self._rows, torch.from_numpy(given))
        if self._spans is not None and padded.spans is not None:
            fill(self._spans, torch.from_numpy(padded.spans[row : row + 1]))
        return self._again().clone()
