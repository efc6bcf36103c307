"""Checks that weights are finite numbers: diverged training leaves NaN, and float16 overflows to infinity."""

from torch.nn import Module

from harness.common.errors import CheckpointError

_NAMED = 4
"""Tensors that a message names; the others are counted."""


def require_finite_weights(model: Module, where: str) -> None:
    """Raise CheckpointError if a weight is NaN or infinite; the message names the tensors."""
    names = non_finite_tensors(model)
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise CheckpointError(
            f"its weights are not finite numbers (NaN or infinite): {', '.join(names[:_NAMED])}{more}.",
            where=where,
            remedy="Train it again with a lower learning rate, or take a checkpoint from before it diverged.",
        )


def non_finite_tensors(model: Module) -> list[str]:
    """Return the names of the weights that hold a NaN or an infinite value."""
    return [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
