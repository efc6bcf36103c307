"""How many examples lost how much of which text."""

import numpy as np

from harness.records.facts import TextLoss
from harness.runs.worker.loaded_system import text_losses
from harness.systems.interface import EncodedSequence, Request


def request(*losses: tuple[int, ...]) -> Request:
    ids = np.zeros(1, dtype=np.int32)
    return Request("0", tuple(EncodedSequence(ids, ids, (), sum(loss[1::2]), loss) for loss in losses))


def test_losses_are_counted_for_each_text() -> None:
    """Two of four questions lost 9 of 11 and 1 of 10 tokens, three passages 30; by hand."""
    requests = [request((11, 9, 20, 10)), request((10, 1, 20, 0)), request(()), request((5, 0, 40, 10))]
    requests += [request((5, 0, 40, 10))]
    assert text_losses(requests) == (
        TextLoss(text="first", examples=2, tokens=10, most=0.8182),
        TextLoss(text="second", examples=3, tokens=30, most=0.5),
    )


def test_an_example_of_several_sequences_counts_once() -> None:
    """Three candidates lose 5, 0 and 20 tokens of their common passage."""
    losses = text_losses([request((100, 5, 3, 0), (), (100, 20, 9, 0))])
    assert losses == (TextLoss(text="first", examples=1, tokens=25, most=0.2),)


def test_nothing_cut_is_no_loss() -> None:
    """Also where an encoder does not report which text it cut."""
    assert text_losses([request(()), request(())]) == ()
