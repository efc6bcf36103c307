"""The model of this folder in ONNX Runtime, on the CPU; needs numpy and onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Arrays = Mapping[str, npt.NDArray[np.int64]]
Sequences = Sequence[tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]]
"""Token ids, segment ids and spans of each sequence."""


class Engine:
    """The graph in a session; `logits` may be called from several threads at the same time.

    The session's options are those of settings.json. Where it names a graph without mask, calls without
    padding use that one.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], threads: int) -> None:
        onnxruntime.disable_telemetry_events()
        self._pad_id = settings["pad_id"]
        self._io_binding = bool(settings.get("io_binding"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        options.enable_cpu_mem_arena = bool(settings.get("arena", True))
        for key, value in settings.get("session", {}).items():
            options.add_session_config_entry(key, value)
        names = {"masked": settings["model"], "maskless": settings.get("maskless")}
        self._sessions = {
            name: onnxruntime.InferenceSession(
                str(folder / file), options, providers=["CPUExecutionProvider"]
            )
            for name, file in names.items()
            if file
        }

    def describe(self) -> dict[str, Any]:
        """Return the engine's name, version and threads."""
        threads = self._sessions["masked"].get_session_options().intra_op_num_threads
        return {"engine": "onnxruntime", "version": onnxruntime.__version__, "threads": threads}

    def logits(self, sequences: Sequences) -> npt.NDArray[np.float32]:
        """Return the logits of sequences, padded to the longest of them, in the graph's order of columns."""
        shape = (len(sequences), max(len(ids) for ids, _, _ in sequences))
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
        unpadded = "maskless" in self._sessions and bool(arrays["attention_mask"].all())
        return self._run(self._sessions["maskless" if unpadded else "masked"], arrays)

    def _run(self, session: onnxruntime.InferenceSession, arrays: Arrays) -> npt.NDArray[np.float32]:
        names = [argument.name for argument in session.get_inputs()]
        logits: npt.NDArray[np.float32]
        if not self._io_binding:
            logits = session.run(None, {name: arrays[name] for name in names})[0]
            return logits
        binding = session.io_binding()
        for name in names:
            binding.bind_cpu_input(name, arrays[name])
        binding.bind_output("logits")
        session.run_with_iobinding(binding)
        logits = binding.copy_outputs_to_cpu()[0]
        return logits
