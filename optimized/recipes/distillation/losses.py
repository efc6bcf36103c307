"""What a student is told apart from its teacher by: of answers, of hidden states, of attention.

Each takes float32 tensors and no model, so that its value can be worked out by hand.
"""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softmax

_MASKED = -1e4  # a score that leaves no weight, and no NaN where both sides have it


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 times the cross-entropy of softmax(student / T) against softmax(teacher / T).

    Over the last axis of logits of the same shape. T^2 keeps the size of the gradients (Hinton et al. 2015,
    section 2); at T = 1 it is FastFormers' loss.
    """
    wanted = softmax(teacher / temperature, dim=-1)
    return -(wanted * log_softmax(student / temperature, dim=-1)).sum(-1) * temperature**2


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference of states [sequences, tokens, width] over what is no padding.

    `mask` is 1 at tokens, [sequences, tokens].
    """
    return _mean_over_tokens(((student - teacher) ** 2).mean(-1), mask)


def relation_loss(student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return the KL divergence of the student's self-relation from the teacher's, as MiniLM v2 has it.

    Both are queries (or keys, or values) of one layer, [sequences, tokens, width], of widths that may differ.
    They are cut into the same number of relation heads; a head's relation is the softmax over tokens of its
    vectors' products divided by the root of their length (Wang et al. 2021, section 3.1). The mean is over
    relation heads and tokens.
    """
    mine, wanted = _relations(student, mask, heads), _relations(teacher, mask, heads)
    divergence = (wanted.exp() * (wanted - mine)).sum(-1)
    return _mean_over_tokens(divergence.mean(1), mask)


def _relations(states: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return log-probabilities [sequences, heads, tokens, tokens]."""
    split = states.unflatten(-1, (heads, -1)).transpose(1, 2)
    scores: Tensor = split @ split.transpose(-1, -2) / split.shape[-1] ** 0.5
    return log_softmax(scores.masked_fill(mask[:, None, None, :] == 0, _MASKED), dim=-1)


def _mean_over_tokens(values: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(values.dtype)
    return torch.sum(values * weights) / weights.sum()
