"""Check of a checkpoint before anything is made from it: our inputs and padding against transformers alone.

    training texts --transformers' tokenizer, one at a time---> logits of transformers alone
                   --ours, one at a time, without padding-----> must be equal
                   --ours, padded to the maximum length-------> must be equal, or what its own padding gives

Every engine is later compared with PyTorch on equal inputs, so a fault of inputs or padding would be in all
of them. Where transformers' own padding changes the logits as ours does, it is the nature of the family: the
largest difference is in the manifest, and reports warn of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn import Module

from baselines.encoding.batching import pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.models.checks.finite import require_finite_weights
from baselines.models.checks.transformers_reference import Library, open_library
from baselines.models.classifier import load_classifier, runner
from harness.common.errors import CheckpointError, DataError, UsageError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Example, Logits, TextInput

ROUNDING = 1e-4
"""Limit of the change of a logit, as a share of the largest (at least 1): float32 changes it by 1e-6."""

_TEXTS = 64
"""Texts that are encoded: a question of some tasks has dozens of candidates."""

_COMPARED = 4
"""Texts whose logits are compared where the inputs differ."""

_RESAVE = (
    "Save the tokenizer again with transformers, in the checkpoint's folder: "
    "python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')\""
)

_NO_TYPES = (
    "If the model was trained without them, remove token_type_ids from model_input_names in "
    "tokenizer_config.json."
)


@dataclass(frozen=True, slots=True)
class _Check:
    """A model with its texts, as text and encoded by us."""

    name: str
    model: Module
    texts: Sequence[TextInput]
    sequences: Sequence[EncodedSequence]
    pad_id: int
    max_length: int

    def logits(self, sequences: Iterable[EncodedSequence], length: int | None = None) -> Logits:
        """Return the logits of sequences that are run one at a time, padded to `length` tokens if given."""
        run = runner(self.model)
        return np.concatenate([run(pad([sequence], self.pad_id, length)) for sequence in sequences])


def compare_with_library(
    folder: Path, name: str, examples: Sequence[Example], max_length: int
) -> dict[str, Any]:
    """Return how far our logits are from transformers' alone, and padded logits from unpadded ones.

    CheckpointError if weights or logits are not finite, if our inputs give other logits than transformers'
    own, or if padding changes logits in another way than transformers' own padding.
    """
    model = _load(folder, name)
    require_finite_weights(model, name)
    encoder = TextEncoder(folder, max_length)
    texts, sequences = _encode(encoder, examples)
    check = _Check(name, model, texts, sequences, encoder.pad_id, max_length)
    library = open_library(folder, model, max_length)
    chosen = _short_and_median(sequences)
    short = [sequences[index] for index in chosen]
    alone = check.logits(short)
    if not np.isfinite(alone).all():
        raise _overflow(name)
    limit = ROUNDING * max(1.0, float(np.abs(alone).max()))
    return {
        "texts": len(sequences),
        "limit": limit,
        "library": _compare_inputs(check, library, chosen, limit),
        "padding": _compare_padding(check, library, short, alone, limit),
    }


def _load(folder: Path, name: str) -> Module:
    """Load the model; an error names the checkpoint as the user does, not a folder of the cache."""
    try:
        return load_classifier(folder)
    except CheckpointError as problem:
        raise CheckpointError(problem.message, where=name, remedy=problem.remedy) from problem


def require_batches(model: Module, sequences: Sequence[EncodedSequence], pad_id: int, name: str) -> Logits:
    """Return the logits of one padded batch; CheckpointError if the model refuses it."""
    try:
        return runner(model)(pad(sequences, pad_id))
    except ValueError as problem:
        raise wrong_padding(model, name, f"transformers refuses a padded batch ({problem})") from problem


def wrong_padding(model: Module, name: str, what: str) -> CheckpointError:
    """Return the error for a model that cannot be padded as we do, with the remedy for its configuration."""
    if getattr(model.config, "pad_token_id", None) is None:
        remedy = (
            "Set pad_token_id in config.json to the id of the tokenizer's padding token, or of its end of "
            "text: the model reads its answer at the last token before the padding."
        )
    else:
        remedy = "Use a model of a family whose inputs are padded on the right, such as BERT or RoBERTa."
    return CheckpointError(f"padding gives wrong answers: {what.rstrip('.')}.", where=name, remedy=remedy)


def _encode(
    encoder: TextEncoder, examples: Sequence[Example]
) -> tuple[list[TextInput], list[EncodedSequence]]:
    """Return the first texts with our encoding, without those whose spans are beyond the maximum length."""
    texts: list[TextInput] = []
    sequences: list[EncodedSequence] = []
    for example in examples:
        try:
            (request,) = encoder.encode([example])
        except DataError:
            continue
        texts += example.inputs
        sequences += request.sequences
    if not sequences:
        raise UsageError(
            f"no training text keeps its marked words within {encoder.max_length} tokens.",
            remedy="Raise --max-length.",
        )
    return texts[:_TEXTS], sequences[:_TEXTS]


def _short_and_median(sequences: Sequence[EncodedSequence]) -> list[int]:
    """Return the indexes of the shortest sequence and of the one of median length, which are cheap."""
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index].ids))
    return [order[0], order[len(order) // 2]]


def _compare_inputs(
    check: _Check, library: Library | str, chosen: Sequence[int], limit: float
) -> dict[str, Any] | str:
    """Return how many texts transformers encodes otherwise, and by how much logits differ from its own."""
    if isinstance(library, str):
        return library
    pairs = list(zip(check.texts, check.sequences, strict=True))
    differing = [pair for pair in pairs if library.differs(*pair)]
    compared = differing[:_COMPARED] or [pairs[index] for index in chosen if not pairs[index][1].cut]
    difference = _from_library(check, library, compared) if compared else 0.0
    if difference > limit:
        inputs = f"token ids or types differ in {len(differing)} of {len(pairs)} training texts"
        raise CheckpointError(
            f"its answers are unlike those of transformers alone: "
            f"{inputs if differing else 'it passes token types, which this model adds to its embeddings'}; "
            f"logits differ by up to {difference:.3g} (limit {limit:.1g}).",
            where=check.name,
            remedy=_RESAVE if differing else _NO_TYPES,
        )
    return {"differing_texts": len(differing), "max_logit_difference": difference}


def _from_library(
    check: _Check, library: Library, pairs: Sequence[tuple[TextInput, EncodedSequence]]
) -> float:
    """Return the largest difference of our logits of texts from those of transformers alone."""
    expected = np.concatenate([library.logits(*pair) for pair in pairs])
    return _largest(check.logits(sequence for _, sequence in pairs), expected)


def _compare_padding(
    check: _Check, library: Library | str, short: Sequence[EncodedSequence], alone: Logits, limit: float
) -> dict[str, Any]:
    """Return by how much padding changes logits; CheckpointError if transformers' own padding does not."""
    padded = check.logits(short, check.max_length)
    batch = require_batches(check.model, short, check.pad_id, check.name)
    difference = max(_largest(padded, alone), _largest(batch, alone))
    if not np.isfinite(difference):
        raise wrong_padding(check.model, check.name, "logits with padding are not finite numbers")
    if difference <= limit or isinstance(library, str):
        return {"max_logit_difference": difference}
    try:
        expected = library.padded_logits(short)
    except ValueError as problem:
        raise wrong_padding(check.model, check.name, f"transformers refuses it ({problem})") from problem
    if _largest(padded, expected) > limit:
        raise wrong_padding(
            check.model,
            check.name,
            f"logits differ by up to {difference:.3g} from those without padding (limit {limit:.1g}), "
            "and transformers' own padding gives others",
        )
    return {"max_logit_difference": difference}


def _largest(first: Logits, second: Logits) -> float:
    """Return the largest difference; infinity if one of them is not finite."""
    difference = np.abs(first - second)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def _overflow(name: str) -> CheckpointError:
    return CheckpointError(
        "its logits are not finite numbers (NaN or infinite), though its weights are.",
        where=name,
        remedy="Activations overflow: check config.json against the weights, or train the model again.",
    )
