"""`native-int8` without smoothing and with it: its error on a model, and the CPU time of a pass."""

import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tiny
from devtools.int8.subject import Subject

from baselines.encoding.batching import pad
from baselines.models.classifier import load_classifier, runner
from optimized.native import build
from optimized.native.engine import Engine, Library
from optimized.native.smoothing import arrays_of, facts_of, smooth, units_of
from optimized.native.weights import extract

ROUNDS = 7
LARGE = 100.0


def table(subject: Subject, *, large_units: int = 0) -> Iterator[str]:
    """Yield the table; `large_units` of each layer become a hundred times as large, and answers stay."""
    library = _library(subject)
    model = load_classifier(subject.folder)
    if large_units:
        plant(model, large_units)
    sequences = subject.sequences(subject.answered)
    run = runner(model)
    exact = np.concatenate([run(pad([one], 0)) for one in sequences])
    engines = {"without": _engine(subject, library, model, {})}
    layers = units_of(model)
    factors = smooth(layers, run, subject.calibration(), library.layout)
    engines["with"] = _engine(subject, library, model, arrays_of(layers, factors, library.layout))
    seconds = _seconds(engines, sequences)
    yield f"| smoothing | error | largest | equal answers of {len(sequences)} | CPU seconds |"
    yield "|---|---:|---:|---:|---:|"
    for name, engine in engines.items():
        changes = subject.changes(exact, engine.answer(sequences))
        numbers = f"{changes.error:.3f} | {changes.largest:.2f} | {changes.equal} | {seconds[name]:.2f}"
        yield f"| {name} | {numbers} |"
        engine.close()
    facts = facts_of(factors, len(layers))
    yield ""
    smoothed = f"{len(facts['layers'])} of {facts['of']} layers"
    yield f"Smoothed: {smoothed}; the largest division: {facts['largest']}."


def plant(model: Any, count: int) -> None:
    """Multiply units of each layer, and divide the weights that read them; SystemExit without gates."""
    for units in units_of(model):
        if units.up is None:
            raise SystemExit("--large-units needs gated units: others change the answers")
        units.up.weight.data[:count] *= LARGE
        if units.up.bias is not None:
            units.up.bias.data[:count] *= LARGE
        units.down.weight.data[:, :count] /= LARGE


def _library(subject: Subject) -> Library:
    level = build.level_of(build.flags_here())
    if level is None:
        raise SystemExit("native-int8 needs a CPU with AVX2 and FMA")
    folder = build.compiled(level, tiny.preparation_context(subject.cache)).folder
    return Library(folder / build.LIBRARY)


def _engine(subject: Subject, library: Library, model: Any, factors: Mapping[str, Any]) -> Engine:
    fields, arrays = extract(model, library.layout, subject.folder.name)
    return Engine(library, fields, {**arrays, **factors}, 1, subject.settings.max_length)


def _seconds(engines: Mapping[str, Engine], sequences: Any) -> dict[str, float]:
    """Return the median CPU seconds of a pass, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            start = time.process_time()
            engine.answer(sequences)
            times[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in times.items()}
