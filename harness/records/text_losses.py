"""What truncation removed from the texts of encoded requests."""

from collections.abc import Collection, Iterator

from harness.records.facts import TextLoss
from harness.systems.interface import Request

_TEXTS = ("first", "second")


def text_losses(requests: Collection[Request]) -> tuple[TextLoss, ...]:
    """Return what the first texts and the second ones lost, for each that lost anything.

    An example with several sequences counts once for each text, with the largest share that one of them lost.
    """
    losses = []
    for place, text in enumerate(_TEXTS):
        cuts = [cut for request in requests if (cut := list(_cuts(request, place)))]
        if cuts:
            most = max(lost / size for cut in cuts for size, lost in cut)
            tokens = sum(lost for cut in cuts for _, lost in cut)
            losses.append(TextLoss(text=text, examples=len(cuts), tokens=tokens, most=round(most, 4)))
    return tuple(losses)


def _cuts(request: Request, place: int) -> Iterator[tuple[int, int]]:
    """Yield the tokens before truncation and those removed, of each text in this place that was cut."""
    for sequence in request.sequences:
        if sequence.losses:
            size, lost = sequence.losses[2 * place : 2 * place + 2]
            if lost:
                yield size, lost
