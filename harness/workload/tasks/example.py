"""The data of a task: examples with their texts and spans, and the types of the logits that answer them."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.int64]

_WORD = re.compile(r"\w+")

Truncation = Literal["first", "second", "longest"]
"""Which text of a pair is truncated where both are too long together."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of the first text (`text` 0) or the second (1)."""

    start: int
    end: int
    text: int = 0


@dataclass(frozen=True, slots=True)
class TextInput:
    """One sequence as text: `first`, alone or with `second`, and the spans that the question is about."""

    first: str
    second: str | None = None
    spans: tuple[Span, ...] = ()
    truncate: Truncation = "first"


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a task as text.

    `inputs` holds one sequence, or one for each of the `candidates`. `gold` holds the official answer in the
    task's own form, and is empty where the split hides it. Examples of one `cluster` are not independent (the
    questions of a passage, a minimal pair) and are resampled together; without one, an example stands alone.
    """

    id: str
    inputs: tuple[TextInput, ...]
    gold: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    cluster: str = ""


def text_hashes(example: Example) -> frozenset[str]:
    """Return the sha256 of each text of an example, which tells equal texts without keeping them.

    Letter case, punctuation and blanks make no difference. A text without letters or digits has no hash.
    """
    texts = {text for one in example.inputs for text in (one.first, one.second or "")}
    plain = {" ".join(_WORD.findall(text.casefold())) for text in texts}
    return frozenset(hashlib.sha256(text.encode()).hexdigest() for text in plain if text)
