"""Operations of each described family, against what PyTorch's own counter sees."""

from typing import Any

import encoders
import numpy as np
import pytest

from baselines.models.families import facts_of
from baselines.models.flops import work_of

LENGTHS = (20, 30, 50)


def counted(model: Any, length: int) -> int:
    """Return the operations of the matrix products and convolutions of one forward pass."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.arange(5, 5 + length)[None]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return int(counter.get_total_flops())


@pytest.mark.parametrize("kind", encoders.DESCRIBED)
def test_operations_per_token_and_pair_are_those_that_torch_counts(kind: str) -> None:
    """The count of three lengths is a parabola: its coefficients, without the projection of embeddings."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    pooling = {"classifier_pooling": "bos"} if kind == "eurobert" else {}
    config = encoders.config_of(kind, num_labels=3, **pooling)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    model.requires_grad_(requires_grad=False)
    per_pair, per_token, _ = np.polyfit(LENGTHS, [counted(model, length) for length in LENGTHS], 2)
    facts, work = facts_of(config.to_dict()), work_of(config.to_dict())
    assert work is not None
    projection = 2 * facts.embedding_width * facts.hidden if facts.embedding_projection else 0
    # maps that compute rotations: one multiplication for each pair of a token and a frequency
    rotations = sum(
        {layer.rotary_base: facts.head_size for layer in facts.layers if layer.rotary_base}.values()
    )
    assert per_token == pytest.approx(work.per_token + projection, abs=rotations + 1)
    assert per_pair == pytest.approx(work.per_pair, abs=0.01)


def test_a_last_layer_for_one_token_computes_keys_and_values_alone() -> None:
    """Two layers of width 32, 4 heads of 8 and 24 units: 2 * 2 * 32 * 32 operations are left of the last."""
    config = encoders.config_of("bert").to_dict()
    whole, part = work_of(config), work_of(config, last_whole=False)
    assert whole is not None
    assert part is not None
    assert whole.per_token == 2 * 2 * (4 * 32 * 32 + 2 * 32 * 24)
    assert part.per_token == whole.per_token // 2 + 2 * 2 * 32 * 32
    assert part.per_pair == whole.per_pair // 2


def test_a_family_without_facts_has_no_count() -> None:
    """It is left out, never guessed."""
    assert work_of({"model_type": "longformer"}) is None
