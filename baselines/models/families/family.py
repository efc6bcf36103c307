"""A family of encoders: its configuration's fields, their defaults, and how they become facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from baselines.models.families.facts import EncoderFacts
from baselines.models.families.sizes import EncoderShape, FieldNames

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """One or more model types with the same layers.

    `defaults` are the values of transformers for fields that config.json may leave out. `describe` returns
    the facts for a complete configuration and its shape. `title` is the family's name in messages.
    """

    model_types: tuple[str, ...]
    title: str
    describe: Callable[[Config, EncoderShape], EncoderFacts]
    defaults: Config
    fields: FieldNames = field(default_factory=FieldNames)
    gated: bool = False


def rotary_base(config: Config, section: str, old_field: str, default: float) -> float:
    """Return the base of the rotations, from `rope_parameters` or from the field of older configurations."""
    parameters = config.get("rope_parameters") or {}
    own = parameters.get(section) or {} if section else parameters
    return float(own.get("rope_theta") or config.get(old_field) or default)


def rotary_type(config: Config) -> str:
    """Return "default" for plain rotations, otherwise the name of how they are scaled."""
    parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
    sections = [part for part in parameters.values() if isinstance(part, Mapping)] or [parameters]
    types = {str(part.get("rope_type") or part.get("type") or "default") for part in sections}
    return next(iter(sorted(types - {"default"})), "default")
