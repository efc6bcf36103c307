"""The shape of an encoder, read from config.json with the few fields that transformers does not have.

`baselines/models/families/sizes.py` describes these fields. transformers itself cannot load a folder with
them: the layers that it builds have other sizes than the tensors. A shape that it can build has none of them
and loads anywhere. This module reads mappings only: it needs neither torch nor transformers.
"""

from collections.abc import Mapping
from typing import Any

from baselines.models.families import family_of, is_described
from baselines.models.families.sizes import ADDED_FIELDS, EncoderShape, read_shape, write_shape

__all__ = ["EncoderShape", "is_narrow", "shape_fields", "shape_of"]


def shape_of(
    config: Mapping[str, Any], where: str = "config.json", technique: str = "a shape of its own"
) -> EncoderShape:
    """Return the shape that a configuration describes.

    CheckpointError if the configuration contradicts itself, or `family_of` raises it.
    """
    family = family_of(config, where, technique)
    return read_shape({**family.defaults, **config}, family.fields, where, gated=family.gated)


def shape_fields(config: Mapping[str, Any], shape: EncoderShape) -> dict[str, Any]:
    """Return the fields of a configuration of this family for a shape; None marks a field to remove."""
    return write_shape(config, family_of(config).fields, shape)


def is_narrow(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration describes a shape that this project builds and transformers cannot."""
    return (
        is_described(config)
        # some families have a field of the same name, DeBERTa for one: transformers builds those
        and any(config.get(name) for name in ADDED_FIELDS)
        and not shape_of(config).stock
    )
