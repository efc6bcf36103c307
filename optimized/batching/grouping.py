"""Batches of requests of similar length: how a call is split, and the system that answers the batches.

A call with one request is passed on unchanged. Lengths are rounded up to a multiple of 16, and the number of
sequences is the most that fits into the budget or a half, quarter ... of it. Engines that compile kernels for
each shape therefore get few shapes, and can compile them all when they are loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.common.json_types import JsonValue
from harness.systems.interface import Predictions, Request, System
from harness.workload.tasks.example import Example
from optimized.batching.wrapper import SystemWrapper
from optimized.parallel.codec import merge_answers

ONE_AT_A_TIME = "one at a time"

_STEP = 16


@runtime_checkable
class ShapeCompiler(Protocol):
    """An optional method of systems whose engine compiles kernels for each shape."""

    def compile_for(self, counts: Callable[[int], Sequence[int]]) -> None:
        """Compile for every length, each with the numbers of sequences that `counts` returns for it."""


class BatchedSystem(SystemWrapper):
    """Passes requests on in batches of similar length, as many at once as fit into the budget of tokens."""

    def __init__(self, system: System, tokens: int) -> None:
        super().__init__(system, {"batch": batch_label(tokens)})
        self._tokens = tokens

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests, in their order."""
        batches = split_by_length([_shape(request) for request in requests], self._tokens)
        if len(batches) < 2:  # noqa: PLR2004 -- a single batch needs no reordering
            return self._system.predict(requests)
        answers = [self._system.predict([requests[index] for index in batch]) for batch in batches]
        parts = [(answer.logits, answer.answers, answer.costs) for answer in answers]
        return merge_answers(requests, list(zip(batches, parts, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class RequestGroup:
    """Several requests of a trial, timed as one."""

    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class SingleCallSystem:
    """Adapts a system to a timer of single requests: all requests go into one call, as in `offline`."""

    system: System

    def encode(self, examples: Sequence[Example]) -> list[RequestGroup]:
        """Return a group of the first example, which warms up before each visit, and one of all others."""
        requests = self.system.encode(examples)
        return [RequestGroup(part) for part in (requests[:1], requests[1:]) if part]

    def predict(self, groups: Sequence[RequestGroup]) -> Predictions:
        """Answer all requests of the groups in one call."""
        return self.system.predict([request for group in groups for request in group.requests])

    def describe(self) -> Mapping[str, JsonValue]:
        """Return the system's description."""
        return self.system.describe()

    def close(self) -> None:
        """Release the system."""
        self.system.close()


def batch_label(tokens: int) -> str:
    """Return the name of a batching rule in descriptions and manifests; 0 tokens is one at a time."""
    return f"sorted by length, {tokens} tokens with padding" if tokens else ONE_AT_A_TIME


def batch_sizes(width: int, tokens: int) -> list[int]:
    """Return the allowed numbers of sequences of a width: the most the budget holds, halved down to 1."""
    sizes = [max(1, tokens // width)]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return sizes


def split_by_length(shapes: Sequence[tuple[int, int]], tokens: int) -> list[list[int]]:
    """Return the positions of requests, longest first, in batches that fit the budget with their padding.

    A shape is a request's number of sequences and its longest sequence, rounded up to a multiple of 16 here.
    Requests of one sequence form batches of `batch_sizes`; any other request is a batch of its own.
    """
    alone = [[index] for index, (sequences, _) in enumerate(shapes) if sequences != 1]
    order = [index for index, (sequences, _) in enumerate(shapes) if sequences == 1]
    order.sort(key=lambda index: -shapes[index][1])
    batches, start = [], 0
    while start < len(order):
        width = -(-max(1, shapes[order[start]][1]) // _STEP) * _STEP
        size = next(size for size in batch_sizes(width, tokens) if size <= len(order) - start)
        batches.append(order[start : start + size])
        start += size
    return [*batches, *alone]


def _shape(request: Request) -> tuple[int, int]:
    longest = max((len(sequence.ids) for sequence in request.sequences), default=0)
    return len(request.sequences), longest
