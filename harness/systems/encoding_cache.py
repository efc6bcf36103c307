"""Encoded splits in the cache, so that a split is tokenized once and not in every run.

Systems that encode in the same way have the same attribute `encoding` (a hash of the tokenizer and the
maximum length) and share an entry. The cache never affects a measurement: boundary `text` always encodes
inside the timed window.
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
from harness.systems.interface import Cache, EncodedSequence, Request, System, sequences_of
from harness.workload.data import Split
from harness.workload.tasks.example import Example

RECIPE = "encoded split"
"""The recipe in the manifest of an encoding, which distinguishes it from other artifacts."""

_VERSION = 2
_ARRAYS = ("ids", "segments", "tokens", "sequences", "spans", "span_counts", "cut", "losses")
_NO_LOSSES = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class EncodingCache:
    """The cache entry of one split, encoded in one way."""

    cache: Cache
    key: str
    examples: Sequence[Example]

    @classmethod
    def of(cls, system: System, cache: Cache, split: Split) -> "EncodingCache | None":
        """Return a system's entry for a split, or None if the system has no attribute `encoding`."""
        encoding = getattr(system, "encoding", "")
        if not encoding:
            return None
        # a custom task may lay out the same file in two ways
        first = hashlib.sha256(repr(split.examples[0]).encode()).hexdigest()
        parts = [str(_VERSION), encoding, split.task.name, split.fingerprint, first]
        key = f"encoded-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"
        return cls(cache, key, split.examples)

    def find(self) -> list[Request]:
        """Return the split's requests in order; an empty list if the cache does not hold all of them."""
        artifact = self.cache.find(self.key)
        if artifact is None or artifact.manifest.get("requests") != len(self.examples):
            return []
        return unpack(artifact.folder, [example.id for example in self.examples])

    def keep(self, requests: Mapping[int, Request]) -> None:
        """Write the split's requests, all or nothing; a cache that cannot be written costs only time."""
        if len(requests) < len(self.examples) or self.cache.find(self.key):
            return
        ordered = [requests[index] for index in range(len(self.examples))]
        with suppress(StoreError), self.cache.writing(self.key) as folder:
            for name, array in pack(ordered).items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            manifest = {"recipe": RECIPE, "version": _VERSION, "requests": len(ordered)}
            (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def pack(requests: Sequence[Request]) -> dict[str, "np.ndarray[Any, Any]"]:
    """Return flat arrays: ids and segments of all sequences, and how they are split into requests."""
    sequences = list(sequences_of(requests))
    empty = [np.zeros(0, dtype=np.int32)]  # concatenate needs one array or more
    spans = [span for sequence in sequences for span in sequence.spans]
    return {
        "ids": np.concatenate(empty + [sequence.ids for sequence in sequences]).astype(np.int32),
        "segments": np.concatenate(empty + [sequence.segments for sequence in sequences]).astype(np.int32),
        "tokens": np.array([len(sequence.ids) for sequence in sequences], dtype=np.int64),
        "sequences": np.array([len(request.sequences) for request in requests], dtype=np.int64),
        "spans": np.array(spans, dtype=np.int64).reshape(-1, 2),
        "span_counts": np.array([len(sequence.spans) for sequence in sequences], dtype=np.int64),
        "cut": np.array([sequence.cut for sequence in sequences], dtype=np.int64),
        "losses": np.array([sequence.losses or _NO_LOSSES for sequence in sequences], dtype=np.int64).reshape(
            -1, len(_NO_LOSSES)
        ),
    }


def unpack(folder: Path, names: Sequence[str]) -> list[Request]:
    """Return the requests of a folder, under these ids; their arrays are views of two large arrays."""
    arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
    all_ids, all_segments = (_split(arrays[name], arrays["tokens"]) for name in ("ids", "segments"))
    all_spans = _split(arrays["spans"], arrays["span_counts"])
    all_losses = [tuple(row) if any(row) else () for row in arrays["losses"].tolist()]
    sequences = [
        EncodedSequence(
            ids, segments, tuple((int(begin), int(end)) for begin, end in spans), int(cut), losses
        )
        for ids, segments, spans, cut, losses in zip(
            all_ids, all_segments, all_spans, arrays["cut"], all_losses, strict=True
        )
    ]
    remaining = iter(sequences)
    return [
        Request(name, tuple(next(remaining) for _ in range(count)))
        for name, count in zip(names, arrays["sequences"].tolist(), strict=False)
    ]


def _split(array: "np.ndarray[Any, Any]", counts: "np.ndarray[Any, Any]") -> "list[np.ndarray[Any, Any]]":
    return np.split(array, np.cumsum(counts))[:-1]
