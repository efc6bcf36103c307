"""The losses of distillation, between student and teacher: of logits, of hidden states, of attention.

They take float32 tensors and no model, so that tests can compute their values by hand.
"""

import torch
from torch import Tensor, sigmoid
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, softmax

_MASKED_SCORE = -1e4  # its softmax is 0; minus infinity would make NaN where both sides have it


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 times the cross-entropy of softmax(student / T) with the soft targets softmax(teacher / T).

    Over the last axis of logits of the same shape. T^2 keeps the size of the gradients (Hinton et al. 2015,
    section 2); at T = 1 it is FastFormers' loss.
    """
    soft_targets = softmax(teacher / temperature, dim=-1)
    return -(soft_targets * log_softmax(student / temperature, dim=-1)).sum(-1) * temperature**2


def soft_label_losses(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 times the binary cross-entropy of sigmoid(student / T) with sigmoid(teacher / T).

    It is the mean over labels, the last axis: the counterpart of `soft_cross_entropy` where any number of
    labels may hold.
    """
    soft_targets = sigmoid(teacher / temperature)
    losses = binary_cross_entropy_with_logits(student / temperature, soft_targets, reduction="none")
    return losses.mean(-1) * temperature**2


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference of states [sequences, tokens, width], without padding.

    `mask` [sequences, tokens] is 1 at tokens and 0 at padding.
    """
    return _mean_over_tokens(((student - teacher) ** 2).mean(-1), mask)


def relation_loss(student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return the KL divergence of the student's self-relations from the teacher's, as in MiniLM v2.

    Both are queries (or keys, or values) of one layer, [sequences, tokens, width]; their widths may differ.
    They are split into the same number of relation heads; the relation of a head is the softmax over tokens
    of its scaled dot products (Wang et al. 2021, section 3.1). The mean is over relation heads and tokens.
    """
    student_relations, teacher_relations = (
        _log_relations(states, mask, heads) for states in (student, teacher)
    )
    divergence = (teacher_relations.exp() * (teacher_relations - student_relations)).sum(-1)
    return _mean_over_tokens(divergence.mean(1), mask)


def _log_relations(states: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return log-probabilities [sequences, heads, tokens, tokens]."""
    split = states.unflatten(-1, (heads, -1)).transpose(1, 2)
    scores: Tensor = split @ split.transpose(-1, -2) / split.shape[-1] ** 0.5
    return log_softmax(scores.masked_fill(mask[:, None, None, :] == 0, _MASKED_SCORE), dim=-1)


def _mean_over_tokens(values: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(values.dtype)
    return torch.sum(values * weights) / weights.sum()
