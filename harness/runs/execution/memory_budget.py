"""How many workers may stay loaded at once.

The memory of a worker depends on its engine and cannot be read from disk: ONNX Runtime needs a fifth of what
a compiling engine does. So workers are loaded one by one, and before each the memory of those that are loaded
is read. Only that of the next one is estimated, and too high rather than too low.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.records.record import Host

WORKER_BYTES = 600 * 2**20
"""A worker that has loaded torch and transformers, before any weights; ONNX workers need a fifth of it."""

BOARD_WORKER_BYTES = 2 * 2**30
"""A worker on a board: CUDA's context, its libraries' buffers and a batch's activations. Not measured yet."""

WEIGHT_COPIES = 3
"""How often weights may lie in memory: as read, as loaded, as an engine packs them."""

SHARE = 0.8
"""The part of the limit that a group may take; the rest is for the parent, the page cache, and growth."""


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """The memory that the workers of a group may take together; None where the limit is unknown."""

    limit_bytes: int | None

    def fits(self, held: Sequence[int], weights_bytes: int, instances: int = 1) -> bool:
        """Return whether one more worker fits beside those that hold `held` bytes.

        Each of its instances has the weights in memory. Without a limit everything fits.
        """
        if self.limit_bytes is None:
            return True
        needed = instances * estimated_bytes(weights_bytes, WORKER_BYTES)
        return sum(held) + needed <= SHARE * self.limit_bytes


def fits_board(sizes: Sequence[int], limit_bytes: int | None) -> bool:
    """Return whether workers for artifacts of these sizes in bytes may stay on a board together.

    All of it is estimated: the driver does not show the memory of a process in a container.
    """
    if limit_bytes is None:
        return True
    return sum(estimated_bytes(size, BOARD_WORKER_BYTES) for size in sizes) <= SHARE * limit_bytes


def estimated_bytes(weights_bytes: int, base_bytes: int) -> int:
    """Return the most that a worker is estimated to take; `base_bytes` without any weights."""
    return base_bytes + WEIGHT_COPIES * weights_bytes


def board_bytes(host: Host, board: int | None) -> int | None:
    """Return the memory of the driver's board of this number; None for a CPU, or where it is unknown."""
    boards = host.facts.get("gpus", ())
    mebibytes = boards[board].get("memory_mib") if board is not None and board < len(boards) else None
    return mebibytes * 2**20 if isinstance(mebibytes, int) else None
