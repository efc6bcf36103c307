"""The released sizes of encoders that are not BERTs, to measure their speed with random weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.models.families import facts_of


@dataclass(frozen=True, slots=True)
class FamilyShape:
    """A configuration of transformers: a model type, and the fields in which it differs from its defaults.

    `positions` is the longest request, `vocabulary` the number of token ids.
    """

    model_type: str
    fields: Mapping[str, Any]
    vocabulary: int
    positions: int = 512
    seed: int = 0

    @property
    def weight_macs(self) -> int:
        """Multiply-adds with weights for each token, in all layers."""
        facts = facts_of({"model_type": self.model_type, **self.fields, "vocab_size": self.vocabulary})
        return sum(facts.layer_weights(index) for index in range(len(facts.layers)))


_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
_DEBERTA_V3 = {
    **_BASE,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "position_buckets": 256,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "pooler_hidden_size": 768,
}

FAMILY_SHAPES: Mapping[str, FamilyShape] = {
    # the defaults of ModernBERT and MPNet are the released base models
    "modernbert-base": FamilyShape("modernbert", {}, vocabulary=50_368),
    "deberta-v3-base": FamilyShape("deberta-v2", _DEBERTA_V3, vocabulary=128_100),
    "mpnet-base": FamilyShape("mpnet", {}, vocabulary=30_527),
    "electra-small": FamilyShape("electra", {}, vocabulary=30_522),
    "albert-base": FamilyShape("albert", {**_BASE, "embedding_size": 128}, vocabulary=30_000),
}
"""Encoders by name: sizes as in the configurations that their authors released."""
