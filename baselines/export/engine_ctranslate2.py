"""The model of this folder in CTranslate2, on the CPU; needs numpy, safetensors and ctranslate2.

CTranslate2 runs the encoder, numpy the head: the first token, or the maximum over each span, through one or
two linear maps.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Floats = npt.NDArray[np.float32]
Sequences = Sequence[tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]]
"""Token ids, segment ids and spans of each sequence."""


_erf = np.vectorize(math.erf, otypes=[np.float32])

_ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "gelu": lambda values: (values * (0.5 + 0.5 * _erf(values / np.sqrt(2)))).astype(np.float32),
}
"""Between the dense layer of the head and the layer of the labels."""


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
        second = self._settings["second_input"]
        # CTranslate2 adds no positions of its own to a relative bias: they are looked up as segments are
        looked_up = (
            segments if second == "segments" else np.broadcast_to(np.arange(arrays.shape[1]), arrays.shape)
        )
        output = self._encoder.forward_batch(
            ctranslate2.StorageView.from_array(arrays),
            ctranslate2.StorageView.from_array(lengths),
            token_type_ids=None if second is None else looked_up.tolist(),
        )
        hidden = np.asarray(output.last_hidden_state)
        if self._settings["spans"]:
            rows = zip(hidden, (spans for _, _, spans in sequences), strict=True)
            pooled = [
                np.concatenate([row[start:end].max(axis=0) for start, end in pairs]) for row, pairs in rows
            ]
            return self._linear("labels", np.array(pooled))
        if self._settings["pooling"] == "first":
            return self._classify(hidden[:, 0])
        if self._settings["pooling"] == "mean":
            return self._classify(_means(hidden, lengths))
        return _means(self._classify(hidden), lengths)

    def _classify(self, pooled: Floats) -> Floats:
        if "dense.weight" in self._head:
            pooled = _ACTIVATIONS.get(self._settings["activation"], np.tanh)(self._linear("dense", pooled))
        return self._linear("labels", pooled)

    def _linear(self, name: str, values: Floats) -> Floats:
        bias = self._head.get(f"{name}.bias", np.float32(0))
        return values @ self._head[f"{name}.weight"].T + bias


def _means(rows: Floats, lengths: npt.NDArray[np.int32]) -> Floats:
    """Return the mean over each sequence's own tokens."""
    means = [row[:length].mean(axis=0, dtype=np.float32) for row, length in zip(rows, lengths, strict=True)]
    return np.array(means, np.float32)


def _maxima(hidden: Floats, spans: Sequence[Sequence[tuple[int, int]]]) -> Floats:
    """Return the largest values over each span of a sequence, the spans side by side."""
    rows = zip(hidden, spans, strict=True)
    return np.array(
        [np.concatenate([row[start:end].max(axis=0) for start, end in pairs]) for row, pairs in rows]
    )
