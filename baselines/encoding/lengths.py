"""How long texts are to a checkpoint, in its own tokens."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baselines.checkpoints.folder import TOKENIZER, file_sha256
from baselines.encoding.tokenizer import TextEncoder
from harness.workload.tasks.example import Example

# sha256 over a vocabulary's tokens in the order of their ids, one a line: of WordPiece's vocab.txt
_VOCABULARIES = {"07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3": "bert-base-uncased"}


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of every sequence, special tokens included, and whose tokens they are.

    `cut` counts the sequences that were cut to the maximum length; `tokenizer_sha256` is of tokenizer.json;
    `vocabulary` names the vocabulary if it is a well-known one, and is empty otherwise.
    """

    lengths: tuple[int, ...]
    cut: int
    tokenizer_sha256: str
    vocabulary: str


def count_tokens(folder: Path, examples: Sequence[Example], max_length: int) -> TokenCounts:
    """Count with the tokenizer of a checkpoint's folder; UsageError if the model cannot take the length."""
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
    """Sequences encoded the fast way and by the library alone: what differs, and CPU seconds of both.

    `fast` is False where the tokenizer is of a kind that only the library knows.
    """

    sequences: int
    tokens: int
    differing: tuple[str, ...]
    fast: bool
    seconds: float
    reference_seconds: float


def check_tokens(
    folder: Path,
    examples: Sequence[Example],
    max_length: int,
    clock: Callable[[], float] = time.process_time,
) -> TokenizerCheck:
    """Encode everything both ways and compare ids, segments and cuts; `differing` holds example ids."""
    ours, library = TextEncoder(folder, max_length), TextEncoder(folder, max_length, library=True)
    begun = clock()
    one = ours.encode(examples)
    between = clock()
    other = library.encode(examples)
    ended = clock()
    differing = tuple(
        mine.id
        for mine, theirs in zip(one, other, strict=True)
        for a, b in zip(mine.sequences, theirs.sequences, strict=True)
        if not (np.array_equal(a.ids, b.ids) and np.array_equal(a.segments, b.segments) and a.cut == b.cut)
    )
    sequences = sum(len(request.sequences) for request in one)
    tokens = sum(request.tokens for request in one)
    return TokenizerCheck(sequences, tokens, differing, ours.fast, between - begun, ended - between)
