"""A model cut into stages that end in classifiers, as ONNX graphs: a request goes no deeper than it must.

    ids --stage 1--> hidden states, logits --sure?--> answer
                           |no
                        stage 2 --> hidden states, logits --sure?--> answer
                           |no
                          ...  last stage --> the model's own logits

A stage that is not reached is not run: it is a session of its own, so what is skipped costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Padded, Run, pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.onnx.runtime import open_session, threads_rest
from baselines.models.flops import work_facts
from harness.systems.interface import EncodedSequence, Placement, Predictions, Request, Settings, offsets_of
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits
from optimized.adaptive.criteria import NEVER, run_length, sureness

HIDDEN = "hidden"
"""What a stage gives to the next: float32 [sequences, tokens, width]."""

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class OnnxStage:
    """The layers up to `depth`, from where the stage before ended, and the classifier after them."""

    session: Any
    depth: int
    inputs: tuple[str, ...]

    def run(self, arrays: Arrays) -> tuple[Logits, Arrays]:
        """Return logits as the checkpoint has its labels, and the arrays with what the next stage reads."""
        logits, *states = self.session.run(None, {name: arrays[name] for name in self.inputs})
        return logits, {**arrays, HIDDEN: states[0]} if states else arrays


class StagedSystem:
    """Stages in order, one request at a time; `costs` says after how many layers each was answered."""

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
        """What is the same for all systems that encode alike."""
        return self._encoder.encoding

    @property
    def depths(self) -> tuple[int, ...]:
        """After how many layers each stage ends."""
        return tuple(stage.depth for stage in self._stages)

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Turn text into unpadded requests."""
        return self._encoder.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests one by one; the sequences of a request go on together."""
        found = [self._answer(request.sequences) for request in requests]
        logits = [rows for rows, _ in found] or [np.zeros((0, len(self._columns)), np.float32)]
        layers = np.array([depth for _, depth in found], dtype=np.float64)
        return Predictions(np.concatenate(logits), offsets_of(requests), costs={"layers": layers})

    def every(self, requests: Sequence[Request]) -> list[Predictions]:
        """Return what each stage says of all requests, whatever the thresholds are."""
        said: list[list[Logits]] = [[] for _ in self._stages]
        for request in requests:
            arrays = self._arrays(request.sequences)
            for number, stage in enumerate(self._stages):
                logits, arrays = stage.run(arrays)
                said[number].append(logits[:, self._columns])
        return [Predictions(np.concatenate(rows), offsets_of(requests)) for rows in said]

    def stopping_at(self, number: int) -> "StagedSystem":
        """Return a system on the same sessions that answers every request with stage `number`, from 0."""
        return self.deciding([NEVER] * number + [0.0] * (len(self._stages) - 1 - number))

    def deciding(self, thresholds: Sequence[float]) -> "StagedSystem":
        """Return a system on the same sessions with other thresholds."""
        own = (self._encoder, self._columns, self._facts, self._criterion)
        return StagedSystem(self._task, self._stages, thresholds, *own)

    def runner(self) -> Run:
        """Return what answers one padded batch with all stages, labels in the checkpoint's order."""

        def run(padded: Padded) -> Logits:
            arrays: Arrays = padded.arrays()
            for stage in self._stages:
                logits, arrays = stage.run(arrays)
            return logits

        return run

    def describe(self) -> Mapping[str, Any]:
        """Read back the sessions' options; say exits, thresholds, and what is known of the graphs."""
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
        said: list[str] = []
        for stage, threshold in zip(self._stages, (*self._thresholds, 0.0), strict=True):
            logits, arrays = stage.run(arrays)
            ordered = logits[:, self._columns]
            # the last stage has nobody to ask, and is not asked how sure it is
            if threshold <= 0 or self._sure(ordered, said) >= threshold:
                break
        return ordered, stage.depth

    def _sure(self, ordered: Logits, said: list[str]) -> float:
        """Return how sure an answer to one request is; `said` holds the answers before, and gains it."""
        whole = np.array([0, len(ordered)])
        if self._criterion == "patience":
            said.append(self._task.decide(ordered, whole)[0])
            return run_length(said)
        return float(sureness(self._task, ordered, whole, self._criterion)[0])


def stage_files(folder: Path, depths: Sequence[int]) -> list[Path]:
    """Return where the graphs of stages that end after these layers lie."""
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
        stages.append(OnnxStage(session, depth, tuple(each.name for each in session.get_inputs())))
    known = {
        **(facts or {}),
        **work_facts(config),
        "graph_bytes": sum(path.stat().st_size for path in files),
    }
    encoder = TextEncoder(folder, settings.max_length)
    columns = label_columns(config, task, folder.name)
    return StagedSystem(task, stages, thresholds, encoder, columns, known, criterion)
