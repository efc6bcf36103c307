"""The model of this folder in OpenVINO, on the CPU; needs numpy and openvino."""

import sys
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report each import
import openvino  # noqa: E402

Sequences = Sequence[tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]]
"""Token ids, segment ids and spans of each sequence."""


class Engine:
    """A compiled model; calls of `logits` from several threads wait for one another.

    OpenVINO compiles kernels for every new length, so sequences are padded to the next of the lengths in
    settings.json, which are compiled at the start.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], threads: int) -> None:
        self._lock, self._threads = threading.Lock(), threads
        self._pad_id, self._lengths = settings["pad_id"], settings["lengths"]
        core = openvino.Core()
        model = core.read_model(folder / settings["model"])
        config = {**settings["openvino"], "INFERENCE_NUM_THREADS": str(threads)}
        self._request = core.compile_model(model, "CPU", config).create_infer_request()
        self._names = [tensor.get_any_name() for tensor in model.inputs]
        spans = [(0, 1)] * settings["spans"]
        for length in self._lengths:
            self.logits([([self._pad_id] * length, [0] * length, spans)])

    def describe(self) -> dict[str, Any]:
        """Return the engine's name, version and threads."""
        return {"engine": "openvino", "version": openvino.__version__, "threads": self._threads}

    def logits(self, sequences: Sequences) -> npt.NDArray[np.float32]:
        """Return the logits of sequences, in the model's order of columns."""
        longest = max(len(ids) for ids, _, _ in sequences)
        shape = (len(sequences), self._lengths[bisect_left(self._lengths, longest)])
        arrays = {
            "input_ids": np.full(shape, self._pad_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
            "spans": np.array([spans for _, _, spans in sequences], np.int64),
        }
        for row, (ids, segments, _) in enumerate(sequences):
            arrays["input_ids"][row, : len(ids)] = ids
            arrays["attention_mask"][row, : len(ids)] = 1
            arrays["token_type_ids"][row, : len(ids)] = segments
        with self._lock:
            outputs = self._request.infer({name: arrays[name] for name in self._names}, share_inputs=True)
            return np.array(outputs[0], dtype=np.float32)
