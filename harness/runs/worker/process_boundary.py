"""Boundary `process`: whole programs, files to files, as the shared task of SustaiNLP 2020 ran them.

    write the visit's rows | start ... exit | read the prediction file
    clock and meter          begin      end

A program gets a folder in the official layout without labels, `{data}`, and writes the prediction file into
another, `{output}`. Interpreter start, imports, loading and tokenising are all inside the clock. Our own
variants run the same way (`harness.runs.worker.process_program`), so that both can stand in one table.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.common.errors import DataError
from harness.common.json_codec import from_json
from harness.common.json_types import JsonObject
from harness.measurement.energy.meter import Meter
from harness.measurement.machine.memory import PeakMemoryTracker
from harness.measurement.machine.perf_events import WorkCounters
from harness.measurement.timing.loop import Clock, run_visit
from harness.records.journal_entries import PeakMemory, VisitResult, WarmResult
from harness.runs.worker.messages import CompleteResult
from harness.runs.worker.process_command import Program, ProgramStart, descendants, end_all
from harness.runs.worker.process_program import ABOUT, ProgramReport
from harness.systems.interface import Predictions
from harness.workload.data import Split
from harness.workload.tasks.base import split_path
from harness.workload.tasks.example import Example
from harness.workload.tasks.prediction_files import read_predictions
from harness.workload.tasks.rows import read_rows, without_labels

CHUNK = 256
"""Examples that one start of a program answers in the untimed pass, rounded up to whole rows."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What a visit is measured with: clocks in nanoseconds of wall and of CPU time, and a meter or none.

    `counters` count cycles and instructions of the worker and of the program it starts, where they can.
    """

    wall: Clock
    cpu: Clock
    meter: Meter | None
    counters: WorkCounters = field(default_factory=WorkCounters)


@dataclass(frozen=True, slots=True)
class SplitRows:
    """A split as programs read it: its rows without labels, and the row of each example."""

    split: Split
    rows: Sequence[Mapping[str, object]]
    row_of: Sequence[int]

    def whole(self, indexes: Sequence[int]) -> list[int]:
        """Return all examples of the rows of these examples."""
        rows = {self.row_of[index] for index in indexes}
        return [index for index, row in enumerate(self.row_of) if row in rows]

    def chunks(self, indexes: Sequence[int]) -> list[list[int]]:
        """Cut examples into parts of whole rows, each of `CHUNK` examples and the rest of its last row."""
        parts: list[list[int]] = []
        for index in sorted(indexes):
            same_row = bool(parts) and self.row_of[parts[-1][-1]] == self.row_of[index]
            if not parts or (len(parts[-1]) >= CHUNK and not same_row):
                parts.append([])
            parts[-1].append(index)
        return parts

    def examples(self, indexes: Sequence[int]) -> list[Example]:
        """Return these examples."""
        return [self.split.examples[index] for index in indexes]

    def write(self, folder: Path, indexes: Sequence[int]) -> None:
        """Write the rows of these examples in the official layout, in the order of the split."""
        path = folder / split_path(self.split.task, self.split.name)
        path.parent.mkdir(parents=True)
        rows = [self.rows[row] for row in sorted({self.row_of[index] for index in indexes})]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@dataclass(slots=True)
class Files:
    """A program that is started anew for each visit, over examples that make whole rows.

    `memory` is sampled while the program runs untimed; `report` is the last one of a program of ours, and
    `cut` holds the ids of all examples that it cut.
    """

    split_rows: SplitRows
    program: Program
    instruments: Instruments
    memory: PeakMemoryTracker = field(default_factory=PeakMemoryTracker)
    report: ProgramReport | None = None
    cut: set[str] = field(default_factory=set)

    def effective(self) -> JsonObject:
        """Return what is started, or what it reported once it has run."""
        if self.report:
            return self.report.effective
        return {"engine": "program, files to files", "program": self.program.name}

    def warm(self, indexes: Sequence[int]) -> WarmResult:
        """Start the program once, untimed, so that its files lie in the page cache for every visit."""
        whole = self.split_rows.whole(indexes)
        self._answered(whole)
        return WarmResult(warmup_requests=len(whole), effective=self.effective())

    def visit(self, indexes: Sequence[int]) -> VisitResult:
        """Time one start of the program, everything included."""
        tools = self.instruments
        with self._start(indexes) as start:
            visit = run_visit(
                *(self, [(start,)]),
                warmup=(),
                clock=tools.wall,
                cpu_clock=tools.cpu,
                meter=tools.meter,
                counters=tools.counters,
            )
            answers = self._read(start, indexes)
        examples = self.split_rows.examples(indexes)
        cycles, instructions = visit.counts or (None, None)
        return VisitResult(
            requests=len(indexes),
            sequences=sum(len(example.inputs) for example in examples),
            tokens=self.report.tokens if self.report else sum(map(_count_words, examples)),
            wall_ns=visit.wall_ns,
            cpu_ns=visit.cpu_ns,
            cycles=cycles,
            instructions=instructions,
            call_ns=visit.call_ns,
            gap_ns=visit.gap_ns,
            readings=visit.readings,
            answers=answers,
        )

    def complete(self, indexes: Sequence[int], progress: Callable[[str], None]) -> CompleteResult:
        """Answer these examples untimed; count those that were cut, and return the program's peak memory."""
        answers: dict[int, str] = {}
        for chunk in self.split_rows.chunks(indexes):
            answers |= zip(chunk, self._answered(chunk), strict=True)
            progress(f"{len(answers)}/{len(indexes)}")
        peak = self.memory.peak()
        memory = PeakMemory(peak_bytes=peak.peak_bytes, counted_as=peak.counted_as) if peak else PeakMemory()
        return CompleteResult([answers[index] for index in indexes], len(self.cut), memory)

    def predict(self, starts: Sequence[ProgramStart], /) -> Predictions:
        """Start the program and wait until it ends: what the clock includes."""
        (start,) = starts
        self.program.run(start)
        return Predictions(np.zeros((0, 0), dtype=np.float32), np.zeros(1, dtype=np.int64))

    def _answered(self, indexes: Sequence[int]) -> list[str]:
        with self._start(indexes) as start:
            self.predict([replace(start, memory=self.memory)])
            return self._read(start, indexes)

    @contextmanager
    def _start(self, indexes: Sequence[int]) -> Iterator[ProgramStart]:
        """Write the rows; afterwards remove all files, and end what the program has left running."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, tempfile.TemporaryFile() as errors:
            data, output = Path(folder) / "data", Path(folder) / "output"
            self.split_rows.write(data, indexes)
            output.mkdir()
            before = descendants()
            try:
                yield ProgramStart(tuple(self.program.arguments(data, output)), output, errors)
            finally:
                end_all(descendants() - before)

    def _read(self, start: ProgramStart, indexes: Sequence[int]) -> list[str]:
        task = self.split_rows.split.task
        file = start.output / f"{task.folder}.jsonl"
        try:
            answers = read_predictions(task, file, self.split_rows.examples(indexes))
        except DataError as problem:
            # the folder is gone when the message is read, and a record holds no path
            where = (problem.where or file.name).replace(str(file), file.name)
            raise start.failed(f"its answers are not valid: {where}: {problem.message}") from None
        if self.program.ours:
            text = (start.output / ABOUT).read_text(encoding="utf-8")
            self.report = from_json(ProgramReport, json.loads(text))
            self.cut.update(self.report.cut)
        return answers


def split_rows(split: Split, folder: Path) -> SplitRows:
    """Read the rows of a split once more, for programs; `folder` is where the split lies."""
    path = folder / split_path(split.task, split.name)
    rows: list[Mapping[str, object]] = []
    row_of: list[int] = []
    for line, row in read_rows(path):
        # a row without idx is identified by its line in the split, which differs in the program's file
        rows.append({"idx": line, **without_labels(row)})
        row_of += [len(rows) - 1] * len(split.task.parse(row, f"{path}:{line}", labelled=False))
    return SplitRows(split, rows, row_of)


def _count_words(example: Example) -> int:
    return sum(len(f"{text.first} {text.second or ''}".split()) for text in example.inputs)
