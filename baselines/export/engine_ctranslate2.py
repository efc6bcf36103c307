"""The model of this folder in CTranslate2, on the CPU; needs numpy, safetensors and ctranslate2.

CTranslate2 runs the encoder, numpy the head: the first token, or the maximum over each span, through one or
two linear maps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Floats = npt.NDArray[np.float32]
Sequences = Sequence[tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]]
"""Token ids, segment ids and spans of each sequence."""


class Engine:
    """An encoder and its head; `logits` may be called from several threads at the same time."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], threads: int) -> None:
        self._settings, self._threads = settings, threads
        self._head: Mapping[str, Floats] = load_file(folder / "head.safetensors")
        self._encoder = ctranslate2.Encoder(
            str(folder / settings["model"]),
            device="cpu",
            compute_type=settings["compute"],
            inter_threads=1,
            intra_threads=threads,
        )

    def describe(self) -> dict[str, Any]:
        """Return the engine's name, version and threads."""
        return {"engine": "ctranslate2", "version": ctranslate2.__version__, "threads": self._threads}

    def logits(self, sequences: Sequences) -> Floats:
        """Return the logits of sequences, padded to the longest of them, in the model's order of columns."""
        lengths = np.array([len(ids) for ids, _, _ in sequences], np.int32)
        arrays = np.full((len(sequences), lengths.max()), self._settings["pad_id"], np.int32)
        segments = np.zeros_like(arrays)
        for row, (ids, types, _) in enumerate(sequences):
            arrays[row, : len(ids)], segments[row, : len(ids)] = ids, types
        output = self._encoder.forward_batch(
            ctranslate2.StorageView.from_array(arrays),
            ctranslate2.StorageView.from_array(lengths),
            token_type_ids=segments.tolist() if self._settings["segments"] else None,
        )
        return self._classify(np.asarray(output.last_hidden_state), [spans for _, _, spans in sequences])

    def _classify(self, hidden: Floats, spans: Sequence[Sequence[tuple[int, int]]]) -> Floats:
        pooled = hidden[:, 0]
        if self._settings["spans"]:
            rows = zip(hidden, spans, strict=True)
            pooled = np.array(
                [np.concatenate([row[start:end].max(axis=0) for start, end in pairs]) for row, pairs in rows]
            )
        elif "dense.weight" in self._head:
            pooled = self._linear("dense", pooled)
            pooled = np.maximum(pooled, 0) if self._settings["activation"] == "relu" else np.tanh(pooled)
        return self._linear("labels", pooled)

    def _linear(self, name: str, values: Floats) -> Floats:
        return values @ self._head[f"{name}.weight"].T + self._head[f"{name}.bias"]
