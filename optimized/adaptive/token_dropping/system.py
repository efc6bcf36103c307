"""A system that drops tokens between layers, one sequence at a time: dropped tokens cost nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Padded, Run
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import GRAPH, open_session
from baselines.models.flops import work_facts
from harness.systems.interface import Placement, Predictions, Request, Settings, offsets_of
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.adaptive.token_dropping.budget import Budget, budget_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KEEP = "keep"
"""The graph's input with the share of tokens, in hundredths, that each layer keeps, int64 [layers]."""


_Ids = npt.NDArray[np.integer[Any]]


class TokenSystem:
    """One sequence at a time without padding; `costs` has the mean tokens of a layer, and the operations."""

    def __init__(
        self,
        session: "InferenceSession",
        config: Mapping[str, Any],
        after: Sequence[int],
        keep: int,
        encoder: TextEncoder,
        columns: Sequence[int],
        facts: Mapping[str, Any],
    ) -> None:
        self._session, self._config, self._after = session, config, tuple(after)
        self._keep, self._encoder, self._columns, self._facts = keep, encoder, list(columns), facts
        self._budget: Budget = budget_of(config, after, keep)
        self._inputs = {node.name for node in session.get_inputs()}

    @property
    def encoding(self) -> str:
        """The key of the encoding; systems with the same key can share requests."""
        return self._encoder.encoding

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Encode examples as unpadded requests."""
        return self._encoder.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests; the number of dropped tokens depends on the length of each sequence."""
        rows = [
            self._logits(sequence.ids, sequence.segments)
            for request in requests
            for sequence in request.sequences
        ]
        logits = (
            np.concatenate(rows)[:, self._columns] if rows else np.zeros((0, len(self._columns)), np.float32)
        )
        return Predictions(logits, offsets_of(requests), costs=self._costs(requests))

    def keeping(self, keep: int) -> "TokenSystem":
        """Return a system on the same session that keeps `keep` hundredths."""
        shared = (self._encoder, self._columns, self._facts)
        return TokenSystem(self._session, self._config, self._after, keep, *shared)

    def runner(self) -> Run:
        """Return a function that runs a padded batch row by row; columns in the checkpoint's order."""

        def run(padded: Padded) -> Logits:
            lengths = padded.mask.sum(axis=1)
            parts = zip(padded.ids, padded.segments, lengths, strict=True)
            return np.concatenate([self._logits(ids[:n], segments[:n]) for ids, segments, n in parts])

        return run

    def describe(self) -> Mapping[str, Any]:
        """Return where tokens are dropped, how many are kept, and the options read back from the session."""
        import onnxruntime

        options = self._session.get_session_options()
        return {
            **self._facts,
            "engine": "onnxruntime",
            "engine_version": onnxruntime.__version__,
            "thinned_after": list(self._after),
            "kept_percent": self._keep,
            "providers": self._session.get_providers(),
            "threads": options.intra_op_num_threads,
            "interop_threads": options.inter_op_num_threads,
            "padding": "none",
            "batch": 1,
            "max_length": self._encoder.max_length,
        }

    def close(self) -> None:
        """Release the session."""
        del self._session

    def _logits(self, ids: _Ids, segments: _Ids) -> Logits:
        inputs = {
            "input_ids": np.asarray(ids, dtype=np.int64)[None],
            "token_type_ids": np.asarray(segments, dtype=np.int64)[None],
            KEEP: np.full(len(self._after), self._keep, dtype=np.int64),
        }
        logits: Logits = self._session.run(None, {name: inputs[name] for name in self._inputs})[0]
        return logits

    def _costs(self, requests: Sequence[Request]) -> dict[str, Any]:
        lengths = [[len(sequence.ids) for sequence in request.sequences] for request in requests]
        costs = {"tokens": self._budget.mean_tokens, "operations": self._budget.operations}
        return {
            name: np.array([sum(map(cost, row)) for row in lengths], dtype=np.float64)
            for name, cost in costs.items()
        }


def open_tokens(
    folder: Path,
    task: Task,
    after: Sequence[int],
    keep: int,
    placement: Placement,
    settings: Settings,
    facts: Mapping[str, Any] | None = None,
) -> TokenSystem:
    """Open a graph that has config.json and tokenizer.json beside it; DeviceError for all but the CPU."""
    config = read_config(folder)
    graph = folder / GRAPH
    graph_facts = {**(facts or {}), **work_facts(config), "graph_bytes": graph.stat().st_size}
    encoder = TextEncoder(folder, settings.max_length)
    columns = label_columns(config, task, folder.name)
    return TokenSystem(open_session(graph, placement), config, after, keep, encoder, columns, graph_facts)
