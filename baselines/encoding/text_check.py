"""A comparison of the fast tokenizer with the library on a task's own texts, before anything is timed.

texts of a split --fast--> ids |
               --library-> ids | equal: the fast tokenizer is used; else the library encodes everything,
                                 as it does where there is no fast tokenizer for the checkpoint's kind
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from baselines.checkpoints.artifacts import cache_key, find_or_make
from baselines.checkpoints.folder import CONFIG, TOKENIZER
from baselines.encoding.tokenizer import TextEncoder
from harness.common.errors import StoreError, UsageError
from harness.systems.interface import Cache
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

_RECIPE, _VERSION = "tokenizer-check", 2
_CHUNK = 256
_TEXTS = 20_000
"""Distinct texts that are compared; of more, as many from all over the split."""


def fast_tokenizer_differs(
    task: Task,
    folder: Path,
    examples: Callable[[], Sequence[Example]],
    max_length: int,
    cache: Cache,
    data: str,
) -> str | None:
    """Return why the texts need the library's tokenizer; None if the fast one gives the same ids.

    It is None, too, where others encode. `data` is the hash of the examples' file. The result is cached, so
    that a split is compared once.
    """
    encoder = _encoder(folder, max_length)
    if encoder is None:
        return None
    if not encoder.fast:
        return encoder.fallback_reason
    counts: dict[str, int] = {}

    def compare(_: Path) -> dict[str, object]:
        texts = _distinct_texts(examples())
        counts.update(texts=len(texts), differing=_count_differences(encoder, texts))
        return {"recipe": _RECIPE, "version": _VERSION, "parents": [], **counts}

    with suppress(StoreError):  # a cache that cannot be written costs only time
        key = cache_key(_RECIPE, _VERSION, task, [], encoding=encoder.encoding, data=data)
        counts.update(find_or_make(cache, key, compare).manifest)
    if not counts:
        compare(folder)
    if not counts["differing"]:
        return None
    return f"the fast tokenizer gives other ids for {counts['differing']:,} of {counts['texts']:,} texts"


def _encoder(folder: Path, max_length: int) -> TextEncoder | None:
    """Return the encoder; None for an artifact that others encode for, such as an external program."""
    if not (folder / TOKENIZER).is_file() or not (folder / CONFIG).is_file():
        return None
    with suppress(UsageError):  # a length that a system with positions refuses itself
        return TextEncoder(folder, max_length)
    return None


def _distinct_texts(examples: Sequence[Example]) -> list[str]:
    texts = list(dict.fromkeys(_texts(examples)))
    return texts[:: -(-len(texts) // _TEXTS) or 1]


def _texts(examples: Sequence[Example]) -> Iterator[str]:
    for example in examples:
        for text in example.inputs:
            yield text.first
            if text.second is not None:
                yield text.second


def _count_differences(encoder: TextEncoder, texts: Sequence[str]) -> int:
    chunks = (texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK))
    return sum(encoder.count_differences(chunk) for chunk in chunks)
