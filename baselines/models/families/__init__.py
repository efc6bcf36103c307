"""The families of encoders whose layers are described, and the description of a checkpoint's encoder.

    config.json --facts_of--> EncoderFacts     frozen, without torch

A family is a file of facts here and a line in the table. Surgery on models, the compiled encoder's weights,
counts of operations and refusals are derived from the facts.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from baselines.models.families.albert import ALBERT
from baselines.models.families.bert import BERT, ELECTRA, ROBERTA, XLM_R
from baselines.models.families.deberta import DEBERTA
from baselines.models.families.distilbert import DISTILBERT
from baselines.models.families.facts import EncoderFacts
from baselines.models.families.family import Family
from baselines.models.families.modernbert import MODERNBERT
from baselines.models.families.mpnet import MPNET
from baselines.models.families.rotary import EUROBERT, NOMIC
from baselines.models.families.sizes import read_shape
from harness.common.errors import UnsupportedError

FAMILIES: tuple[Family, ...] = (
    *(BERT, ROBERTA, XLM_R, ELECTRA, DISTILBERT, MPNET),
    *(MODERNBERT, NOMIC, EUROBERT, DEBERTA, ALBERT),
)
_BY_TYPE: Mapping[str, Family] = {name: family for family in FAMILIES for name in family.model_types}


def is_described(config: Mapping[str, Any]) -> bool:
    """Return whether the family of a configuration is described here."""
    return config.get("model_type") in _BY_TYPE


def family_of(
    config: Mapping[str, Any], where: str = "config.json", technique: str = "a shape of its own"
) -> Family:
    """Return the family of a configuration; CheckpointError for one whose layers are not described.

    `technique` is what was asked for, as the message names it.
    """
    family = _BY_TYPE.get(str(config.get("model_type")))
    if family is None:
        raise UnsupportedError(
            f"{technique} does not support the family {config.get('model_type') or 'without a name'}: its "
            "layers are not described.",
            where=where,
            remedy=f"Described are {', '.join(family.title for family in FAMILIES)}. For other families use "
            "onnx-int8 or a PyTorch variant.",
        )
    return family


def require_facts(
    technique: str,
    config: Mapping[str, Any],
    where: str,
    missing: Callable[[EncoderFacts], Iterator[str]],
    remedy: str,
) -> None:
    """Raise UnsupportedError that names the first of what a technique lacks for an encoder.

    `missing` yields what it lacks for these facts. The message reads: TECHNIQUE has no FACT.
    """
    reason = next(missing(facts_of(config, where, technique)), None)
    if reason:
        raise UnsupportedError(f"{technique} has no {reason}.", where=where, remedy=remedy)


def unsupported_of(variant: object, task: object, config: Mapping[str, Any]) -> str | None:
    """Return what a variant lacks for a checkpoint; None if nothing, or if it has no method to tell."""
    method = getattr(variant, "unsupported", None)
    reason: str | None = method(task, config) if method else None
    return reason


def facts_of(
    config: Mapping[str, Any], where: str = "config.json", technique: str = "a shape of its own"
) -> EncoderFacts:
    """Return the facts about the encoder that a configuration describes.

    CheckpointError as `family_of` raises it, and if the configuration contradicts itself.
    """
    family = family_of(config, where, technique)
    complete = {**family.defaults, **config}
    return family.describe(complete, read_shape(complete, family.fields, where, gated=family.gated))
