"""A model split into stages with exit heads, as ONNX graphs: a request stops at the first confident head.

    ids --stage 1--> hidden states, logits --confident?--> answer
                           |no
                        stage 2 --> hidden states, logits --confident?--> answer
                           |no
                          ...  last stage --> the model's own logits

Each stage is a session of its own, so stages after the answer are not run and cost nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Padded, Run, pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import open_session, threads_rest
from baselines.models.flops import work_facts
from harness.systems.interface import (
    EncodedSequence,
    Placement,
    Predictions,
    Request,
    Settings,
    offsets_of,
    require_finite,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.adaptive.criteria import NEVER, confidence_scores, run_length

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

HIDDEN = "hidden"
"""The name of the input with the hidden states of the stage before: float32 [sequences, tokens, width]."""

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class OnnxStage:
    """The layers after the previous stage up to `depth`, and the exit head after them."""

    session: "InferenceSession"
    depth: int
    inputs: tuple[str, ...]

    def run(self, arrays: Arrays) -> tuple[Logits, Arrays]:
        """Return logits, columns in the checkpoint's order, and the arrays for the next stage."""
        logits, *states = self.session.run(None, {name: arrays[name] for name in self.inputs})
        return logits, {**arrays, HIDDEN: states[0]} if states else arrays


class StagedSystem:
    """Stages in order, one request at a time; `costs` has the number of layers that each request ran."""

    def __init__(
        self,
        task: Task,
        stages: Sequence[OnnxStage],
        thresholds: Sequence[float],
        encoder: TextEncoder,
        columns: Sequence[int],
        facts: Mapping[str, Any],
        criterion: str = "confidence",
    ) -> None:
        self._criterion = criterion
        self._task, self._stages, self._thresholds = task, tuple(stages), tuple(thresholds)
        self._encoder, self._columns, self._facts = encoder, list(columns), facts

    @property
    def encoding(self) -> str:
        """The key of the encoding; systems with the same key can share requests."""
        return self._encoder.encoding

    @property
    def depths(self) -> tuple[int, ...]:
        """The number of layers up to the end of each stage."""
        return tuple(stage.depth for stage in self._stages)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Encode examples as unpadded requests."""
        return self._encoder.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests one by one; the sequences of a request stop at the same stage."""
        answers = [self._answer(request.sequences) for request in requests]
        logits = [rows for rows, _ in answers] or [np.zeros((0, len(self._columns)), np.float32)]
        layers = np.array([depth for _, depth in answers], dtype=np.float64)
        return Predictions(np.concatenate(logits), offsets_of(requests), costs={"layers": layers})

    def predict_all_stages(self, requests: Sequence[Request]) -> list[Predictions]:
        """Return the predictions of each stage for all requests, regardless of thresholds."""
        by_stage: list[list[Logits]] = [[] for _ in self._stages]
        for request in requests:
            arrays = self._arrays(request.sequences)
            for number, stage in enumerate(self._stages):
                logits, arrays = stage.run(arrays)
                by_stage[number].append(logits[:, self._columns])
        return [Predictions(np.concatenate(rows), offsets_of(requests)) for rows in by_stage]

    def answering_at(self, number: int) -> "StagedSystem":
        """Return a system on the same sessions in which stage `number`, from 0, answers every request."""
        return self.with_thresholds([NEVER] * number + [0.0] * (len(self._stages) - 1 - number))

    def with_thresholds(self, thresholds: Sequence[float]) -> "StagedSystem":
        """Return a system on the same sessions with other thresholds."""
        shared = (self._encoder, self._columns, self._facts, self._criterion)
        return StagedSystem(self._task, self._stages, thresholds, *shared)

    def runner(self) -> Run:
        """Return a function that runs all stages on a padded batch; columns in the checkpoint's order."""

        def run(padded: Padded) -> Logits:
            arrays: Arrays = padded.arrays()
            for stage in self._stages:
                logits, arrays = stage.run(arrays)
            return logits

        return run

    def describe(self) -> Mapping[str, Any]:
        """Return exits, thresholds, facts on the graphs, and the options read back from the sessions."""
        import onnxruntime

        options = self._stages[0].session.get_session_options()
        return {
            **self._facts,
            "engine": "onnxruntime",
            "engine_version": onnxruntime.__version__,
            "exits": list(self.depths[:-1]),
            "layers": self.depths[-1],
            "criterion": self._criterion,
            "thresholds": list(self._thresholds),
            "providers": self._stages[0].session.get_providers(),
            "threads": options.intra_op_num_threads,
            "interop_threads": options.inter_op_num_threads,
            "rests_between_calls": threads_rest(options),
            "padding": "to the longest of a request",
            "batch": 1,
            "max_length": self._encoder.max_length,
        }

    def close(self) -> None:
        """Release the sessions, unless another system still uses them."""
        self._stages = ()

    def _arrays(self, sequences: Sequence[EncodedSequence]) -> Arrays:
        return pad(sequences, self._encoder.pad_id).arrays()

    def _answer(self, sequences: Sequence[EncodedSequence]) -> tuple[Logits, int]:
        if not sequences:
            return np.zeros((0, len(self._columns)), np.float32), 0
        arrays = self._arrays(sequences)
        previous_answers: list[str] = []
        for stage, threshold in zip(self._stages, (*self._thresholds, 0.0), strict=True):
            logits, arrays = stage.run(arrays)
            ordered = logits[:, self._columns]
            # a threshold of 0, as that of the last stage, needs no score
            if threshold <= 0 or self._score(ordered, previous_answers) >= threshold:
                break
        return ordered, stage.depth

    def _score(self, logits: Logits, previous_answers: list[str]) -> float:
        """Return the score of one request; with patience, append its answer to the previous ones."""
        offsets = np.array([0, len(logits)])
        if self._criterion == "patience":
            require_finite(logits)
            previous_answers.append(self._task.decide(logits, offsets)[0])
            return run_length(previous_answers)
        return float(confidence_scores(self._task, logits, offsets, self._criterion)[0])


def stage_files(folder: Path, depths: Sequence[int]) -> list[Path]:
    """Return the paths of the graphs of stages that end after these layers."""
    return [folder / f"layers-{low + 1}-{high}.onnx" for low, high in pairwise((0, *depths))]


def open_stages(
    folder: Path,
    task: Task,
    depths: Sequence[int],
    thresholds: Sequence[float],
    placement: Placement,
    settings: Settings,
    facts: Mapping[str, Any] | None = None,
    criterion: str = "confidence",
) -> StagedSystem:
    """Open graphs that have config.json and tokenizer.json beside them; DeviceError for all but the CPU."""
    config = read_config(folder)
    files = stage_files(folder, depths)
    stages = []
    for path, depth in zip(files, depths, strict=True):
        session = open_session(path, replace(placement, in_turns=True))
        stages.append(OnnxStage(session, depth, tuple(node.name for node in session.get_inputs())))
    graph_facts = {
        **(facts or {}),
        **work_facts(config),
        "graph_bytes": sum(path.stat().st_size for path in files),
    }
    encoder = TextEncoder(folder, settings.max_length)
    columns = label_columns(config, task, folder.name)
    return StagedSystem(task, stages, thresholds, encoder, columns, graph_facts, criterion)
