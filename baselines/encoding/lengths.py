"""Sequence lengths of examples in a checkpoint's own tokens, and a check of the fast tokenizer."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.checkpoints.folder import TOKENIZER, file_sha256
from baselines.encoding.tokenizer import TextEncoder
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Example

_VOCABULARIES = {"07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3": "bert-base-uncased"}
"""Well-known vocabularies by the sha256 of their tokens in the order of ids, one a line (as in vocab.txt)."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of every sequence, special tokens included, and the tokenizer that made them.

    `cut` counts the sequences that were truncated to the maximum length; `tokenizer_sha256` is of
    tokenizer.json; `vocabulary` names a well-known vocabulary, and is empty otherwise.
    """

    lengths: tuple[int, ...]
    cut: int
    tokenizer_sha256: str
    vocabulary: str


def count_tokens(folder: Path, examples: Sequence[Example], max_length: int) -> TokenCounts:
    """Count tokens with a checkpoint's tokenizer; UsageError if the model cannot take the length."""
    requests = TextEncoder(folder, max_length).encode(examples)
    sequences = [sequence for request in requests for sequence in request.sequences]
    return TokenCounts(
        tuple(len(sequence.ids) for sequence in sequences),
        sum(sequence.cut > 0 for sequence in sequences),
        file_sha256(folder / TOKENIZER),
        _vocabulary(folder),
    )


def _vocabulary(folder: Path) -> str:
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab(with_added_tokens=True)
    lines = "".join(f"{token}\n" for token in sorted(ids, key=ids.__getitem__))
    return _VOCABULARIES.get(hashlib.sha256(lines.encode()).hexdigest(), "")


@dataclass(frozen=True, slots=True)
class TokenizerCheck:
    """A comparison of the fast tokenizer with the library, and the CPU seconds of both.

    `differing` holds the ids of examples whose sequences differ. `fallback_reason` is why both are the
    library, empty where the fast tokenizer encodes. `seconds` are those of texts with words that it has not
    encoded before, `seconds_again` those of the same texts once more.
    """

    sequences: int
    tokens: int
    differing: tuple[str, ...]
    fallback_reason: str
    seconds: float
    seconds_again: float
    reference_seconds: float


def check_tokens(
    folder: Path,
    examples: Sequence[Example],
    max_length: int,
    clock: Callable[[], float] = time.process_time,
) -> TokenizerCheck:
    """Encode all examples with both tokenizers and compare ids, segments and truncation."""
    encoder, library = TextEncoder(folder, max_length), TextEncoder(folder, max_length, library=True)
    started = clock()
    requests = encoder.encode(examples)
    between = clock()
    encoder.encode(examples)
    again = clock()
    references = library.encode(examples)
    ended = clock()
    differing = tuple(
        request.id
        for request, reference in zip(requests, references, strict=True)
        for sequence, expected in zip(request.sequences, reference.sequences, strict=True)
        if not _equal(sequence, expected)
    )
    sequences = sum(len(request.sequences) for request in requests)
    tokens = sum(request.tokens for request in requests)
    seconds = (between - started, again - between, ended - again)
    return TokenizerCheck(sequences, tokens, differing, encoder.fallback_reason, *seconds)


def _equal(one: EncodedSequence, other: EncodedSequence) -> bool:
    same_ids = np.array_equal(one.ids, other.ids) and np.array_equal(one.segments, other.segments)
    return same_ids and one.cut == other.cut
