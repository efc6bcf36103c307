"""What the C encoder is told of a model beside its arrays, and how those must lie; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

ACTIVATIONS: Mapping[str, int] = {"gelu": 1, "gelu_new": 2, "gelu_pytorch_tanh": 2, "relu": 3}
"""By the names of transformers, as kernels/products.h numbers them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How weights lie: bytes of a vector, vectors of a panel, groups of a step; the largest bytes."""

    vector_bytes: int
    vectors: int
    groups: int
    activation_max: int
    weight_max: int

    @property
    def lanes(self) -> int:
        """Outputs of one vector."""
        return self.vector_bytes // 4


@dataclass(frozen=True, slots=True)
class Facts:
    """The numbers that are no arrays, as the C structures name them."""

    layers: int
    hidden: int
    labels: int
    dense_outputs: int
    dense_activation: int
    spans: int
    segments: int
    epsilon: float
    head_size: int
    activation: int
    heads: tuple[int, ...]
    ffn: tuple[int, ...]

    @classmethod
    def of_manifest(cls, values: Mapping[str, Any]) -> "Facts":
        """Return what `dataclasses.asdict` made of facts, read back from JSON."""
        return cls(**{**values, "heads": tuple(values["heads"]), "ffn": tuple(values["ffn"])})
