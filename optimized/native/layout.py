"""The layout of the C encoder's weights, and the fields of a model that are not arrays; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

ACTIVATIONS: Mapping[str, int] = {"gelu": 1, "gelu_new": 2, "gelu_pytorch_tanh": 2, "relu": 3, "silu": 4}
"""Activations of feed-forward parts, by their names in transformers: numbers of kernels/products.h."""

DENSE_ACTIVATIONS: Mapping[str, int] = {"tanh": 1, "relu": 2, "gelu": 3, "silu": 4}
"""Activations of the dense layer before the labels: numbers of kernels/head.h."""

POOLING: Mapping[str, int] = {"first": 0, "mean": 1, "spans": 2, "mean-logits": 3}
"""What the head reads, with its number in kernels/model.h."""

NO_WINDOW = 2**30
"""The window of a layer whose tokens attend to all others: longer than any sequence."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of weights in a library (kernels/products.h), in the order of `encoder_layout`.

    A panel has up to `vectors` vectors of outputs; a step of inputs has `groups` groups of `lane_inputs`.
    Quantised activations are 0 to `activation_max`, weights -`weight_max` to `weight_max`.
    """

    vector_bytes: int
    vectors: int
    groups: int
    activation_max: int
    weight_max: int
    lane_inputs: int = 4

    @property
    def lanes(self) -> int:
        """Outputs of one vector."""
        return self.vector_bytes // 4


@dataclass(frozen=True, slots=True)
class Buckets:
    """How distances between tokens share rows of a table (optimized/native/distances.py).

    `kind` is "relative-bias" (T5's and MPNet's buckets) or "disentangled" (DeBERTa's). `count` is the number
    of buckets, 0 if each distance up to `max_distance` has its own.
    """

    kind: str
    count: int
    max_distance: int


@dataclass(frozen=True, slots=True)
class ModelFields:
    """The fields of a model that are not arrays, named as in the C structures.

    Tuples have an entry for each layer. `sources` is the number in the names of the layer's arrays: layers
    that share weights have the same. `rotations` is that of its frequencies, -1 without.
    """

    layers: int
    hidden: int
    embedding: int
    labels: int
    dense_outputs: int
    dense_activation: int
    pooling: int
    spans: int
    segments: int
    epsilon: float
    root_norm: bool
    head_size: int
    activation: int
    pre_norm: bool
    gated: bool
    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    windows: tuple[int, ...]
    sources: tuple[int, ...]
    rotations: tuple[int, ...]
    buckets: Buckets | None = None

    @classmethod
    def from_manifest(cls, fields: Mapping[str, Any]) -> "ModelFields":
        """Return what `dataclasses.asdict` wrote, read back from JSON, where tuples are lists."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        buckets = values.pop("buckets", None)
        return cls(**values, buckets=Buckets(**buckets) if buckets else None)
