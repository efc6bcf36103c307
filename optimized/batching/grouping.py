"""Requests of one call, a few of like lengths at a time: how they are cut, and the system that is given them.

A request that is asked alone is answered alone. Lengths count as the next multiple of 16, and numbers of
sequences are what a budget holds or halves of that, so that engines which compile kernels for each shape
they meet meet few, and can meet them all when they are loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from harness.systems.interface import Predictions, Request, System
from harness.workload.tasks.example import Example
from optimized.batching.wrapper import Wrapped
from optimized.parallel.codec import merge_answers

ONE_AT_A_TIME = "one at a time"

_STEP = 16


@runtime_checkable
class Compiles(Protocol):
    """What a system may offer whose engine compiles kernels for each shape that it meets."""

    def compile_for(self, counts: Callable[[int], Sequence[int]]) -> None:
        """Meet all lengths it will be given, each with these numbers of sequences together."""


class BatchedSystem(Wrapped):
    """A system that is given as many requests of like lengths at once as the budget holds."""

    def __init__(self, system: System, tokens: int) -> None:
        super().__init__(system, {"batch": label(tokens)})
        self._tokens = tokens

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests, in the order asked."""
        places = parts_of([_shape(request) for request in requests], self._tokens)
        if len(places) < 2:  # noqa: PLR2004 -- nothing to put in order
            return self._system.predict(requests)
        found = [self._system.predict([requests[place] for place in part]) for part in places]
        answers = [(said.logits, said.answers, said.costs) for said in found]
        return merge_answers(requests, list(zip(places, answers, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Requests of a trial, asked as if they were one."""

    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class AllAtOnce:
    """A system whose trial is timed as `offline` asks: whoever times it one request a call gives it all."""

    system: System

    def encode(self, examples: Sequence[Example]) -> list[Bundle]:
        """Return a bundle of one example, which warms up before each visit, and one of all others."""
        requests = self.system.encode(examples)
        return [Bundle(part) for part in (requests[:1], requests[1:]) if part]

    def predict(self, bundles: Sequence[Bundle]) -> Predictions:
        """Answer a bundle."""
        return self.system.predict([request for bundle in bundles for request in bundle.requests])

    def describe(self) -> Mapping[str, Any]:
        """Say what the system says."""
        return self.system.describe()

    def close(self) -> None:
        """Release the system."""
        self.system.close()


def label(tokens: int) -> str:
    """Return what goes through the engine together, as a system describes it and a manifest names it."""
    return f"sorted by length, {tokens} tokens with padding" if tokens else ONE_AT_A_TIME


def counts_of(width: int, tokens: int) -> list[int]:
    """Return how many sequences of a length may go together: what the budget holds, and halves of that."""
    counts = [max(1, tokens // width)]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


def parts_of(shapes: Sequence[tuple[int, int]], tokens: int) -> list[list[int]]:
    """Return the places of requests, the longest first, in parts that fit the budget once they are padded.

    A shape is a request's number of sequences and the longest of them. Lengths count as the next multiple of
    16. Requests of one sequence go together in one of `counts_of` numbers; any other is a part of its own.
    """
    alone = [[place] for place, (sequences, _) in enumerate(shapes) if sequences != 1]
    order = [place for place, (sequences, _) in enumerate(shapes) if sequences == 1]
    order.sort(key=lambda place: -shapes[place][1])
    parts, start = [], 0
    while start < len(order):
        width = -(-max(1, shapes[order[start]][1]) // _STEP) * _STEP
        size = next(count for count in counts_of(width, tokens) if count <= len(order) - start)
        parts.append(order[start : start + size])
        start += size
    return [*parts, *alone]


def _shape(request: Request) -> tuple[int, int]:
    return len(request.sequences), max((len(each.ids) for each in request.sequences), default=0)
