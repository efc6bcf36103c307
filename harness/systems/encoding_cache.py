"""Encoded splits in the cache: what a tokenizer made of a split once need not be made again.

Systems that encode alike say so by an attribute `encoding` (a hash of the tokenizer and the maximum
length) and share what lies here. It is no part of what is timed: boundary `text` always encodes inside its
clock.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.errors import StoreError
from harness.systems.interface import Cache, EncodedSequence, Request, System
from harness.workload.data import Split
from harness.workload.tasks.example import Example

RECIPE = "encoded split"
"""What tells an encoding from the other artifacts, by its manifest."""

_VERSION = 1
_ARRAYS = ("ids", "segments", "tokens", "sequences", "spans", "span_counts", "cut")


@dataclass(frozen=True, slots=True)
class EncodingCache:
    """The place of one split, encoded one way."""

    cache: Cache
    key: str
    examples: Sequence[Example]

    @classmethod
    def of(cls, system: System, cache: Cache, split: Split) -> "EncodingCache | None":
        """Return a system's place for a split, or None if the system does not say how it encodes."""
        encoding = getattr(system, "encoding", "")
        if not encoding:
            return None
        # a custom task may lay out the same file in two ways
        first = hashlib.sha256(repr(split.examples[0]).encode()).hexdigest()
        words = [str(_VERSION), encoding, split.task.name, split.fingerprint, first]
        key = f"encoded-{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]}"
        return cls(cache, key, split.examples)

    def find(self) -> list[Request]:
        """Return the split's requests in order, or nothing where the cache does not hold all of them."""
        kept = self.cache.find(self.key)
        if kept is None or kept.manifest.get("requests") != len(self.examples):
            return []
        return unpack(kept.folder, [example.id for example in self.examples])

    def keep(self, requests: Mapping[int, Request]) -> None:
        """Write the split's requests, whole or not at all; a full cache costs time and nothing else."""
        if len(requests) < len(self.examples) or self.cache.find(self.key):
            return
        ordered = [requests[index] for index in range(len(self.examples))]
        with suppress(StoreError), self.cache.writing(self.key) as folder:
            for name, array in pack(ordered).items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            manifest = {"recipe": RECIPE, "version": _VERSION, "requests": len(ordered)}
            (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def pack(requests: Sequence[Request]) -> dict[str, "np.ndarray[Any, Any]"]:
    """Return flat arrays: ids and segments of all sequences, and how they are cut into requests."""
    sequences = [sequence for request in requests for sequence in request.sequences]
    none = [np.zeros(0, dtype=np.int32)]
    return {
        "ids": np.concatenate(none + [sequence.ids for sequence in sequences]).astype(np.int32),
        "segments": np.concatenate(none + [sequence.segments for sequence in sequences]).astype(np.int32),
        "tokens": np.array([len(sequence.ids) for sequence in sequences], dtype=np.int64),
        "sequences": np.array([len(request.sequences) for request in requests], dtype=np.int64),
        "spans": np.array([span for each in sequences for span in each.spans], dtype=np.int64).reshape(-1, 2),
        "span_counts": np.array([len(sequence.spans) for sequence in sequences], dtype=np.int64),
        "cut": np.array([sequence.cut for sequence in sequences], dtype=np.int64),
    }


def unpack(folder: Path, names: Sequence[str]) -> list[Request]:
    """Return the requests that a folder holds, under these ids; their arrays are views of two large ones."""
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
    ids, segments = (_parts(arrays[name], arrays["tokens"]) for name in ("ids", "segments"))
    spans = _parts(arrays["spans"], arrays["span_counts"])
    sequences = [
        EncodedSequence(one, kind, tuple((int(low), int(high)) for low, high in span), int(cut))
        for one, kind, span, cut in zip(ids, segments, spans, arrays["cut"], strict=True)
    ]
    turns = iter(sequences)
    return [
        Request(name, tuple(next(turns) for _ in range(count)))
        for name, count in zip(names, arrays["sequences"].tolist(), strict=False)
    ]


def _parts(whole: "np.ndarray[Any, Any]", counts: "np.ndarray[Any, Any]") -> "list[np.ndarray[Any, Any]]":
    return np.split(whole, np.cumsum(counts))[:-1]
