"""The layout of the C encoder's weights, and the fields of a model that are not arrays; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

ACTIVATIONS: Mapping[str, int] = {"gelu": 1, "gelu_new": 2, "gelu_pytorch_tanh": 2, "relu": 3}
"""Activations by the names of transformers, with their numbers in kernels/products.h."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of weights in a library (kernels/products.h), in the order of `encoder_layout`.

    A panel has up to `vectors` vectors of outputs; a step of inputs has `groups` groups of four. Quantised
    activations are 0 to `activation_max`, weights -`weight_max` to `weight_max`.
    """

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
class ModelFields:
    """The fields of a model that are not arrays, named as in the C structures."""

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
    def from_manifest(cls, fields: Mapping[str, Any]) -> "ModelFields":
        """Return what `dataclasses.asdict` wrote, read back from JSON, where tuples are lists."""
        return cls(**{**fields, "heads": tuple(fields["heads"]), "ffn": tuple(fields["ffn"])})
