"""Torch's two exporters to ONNX: what they export, their graphs, and how fast these are."""

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import encoders
import numpy as np
import tiny
import torch
from other_families import family_checkpoint
from sequences import sequence

from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import Run, pad
from baselines.engines.agreement import probes
from baselines.engines.onnx import export
from baselines.engines.onnx.runtime import graph_facts, open_session
from baselines.engines.onnx.runtime import runner as graph_runner
from baselines.models.classifier import input_names, load_classifier, runner
from baselines.models.transformers_settings import quiet_logging, without_warnings
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.transforms import fuse
from optimized.recipes.random_shape import resolve_shape

FAMILIES = (*encoders.DESCRIBED, "xlnet", "fnet")
SPEED, CALLS, LENGTHS = "shape:6L-384", 60, (32, 128)


@dataclass(frozen=True, slots=True)
class Form:
    """An exporter with its attention and its opset."""

    title: str
    newer: bool
    attention: Any
    opset: int


FORMS = (
    Form("older, eager", False, "eager", export.OPSET),
    Form("newer, eager, opset 18", True, "eager", 18),
    Form("newer, SDPA, 18", True, None, 18),
    Form("newer, SDPA, 23", True, None, 23),
)


def table(root: Path, families: Sequence[str] = FAMILIES) -> Iterator[str]:
    """Yield the table."""
    if importlib.util.find_spec("onnxscript") is None:
        raise SystemExit("the newer exporter needs onnxscript: pip install onnxscript")
    yield f"| | {' | '.join(form.title for form in FORMS)} |"
    yield "|---|" + "---|" * len(FORMS)
    bert = encoders.saved(encoders.model_of("bert", BOOLQ), root / "bert")
    shape = resolve_shape(SPEED, BOOLQ, tiny.Shelf(root)).folder
    yield _row("nodes of a BERT of 2 layers", [_nodes(bert, form, root) for form in FORMS])
    for family in families:
        folder = _checkpoint(family, root / family / "model")
        changes = [_change(folder, form, root / family) for form in FORMS]
        yield _row(f"{family}: largest change of a logit", changes)
    yield from _speed(shape, root)


def _checkpoint(family: str, folder: Path) -> Path:
    if family in encoders.DESCRIBED:
        return encoders.saved(encoders.model_of(family, BOOLQ), folder)
    return family_checkpoint(folder, family)


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def exported(folder: Path, form: Form, target: Path) -> Path:
    """Write the graph of a checkpoint in a form."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not form.newer:
        export.export_classifier(folder, target)
        return target
    classifier = load_classifier(folder, form.attention)
    names = list(input_names(classifier))
    inputs = export.example_inputs()
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=500)}
    model = export._LogitsOnly(classifier, names).eval()
    with quiet_logging(), without_warnings((Warning, "")), torch.no_grad():
        torch.onnx.export(
            model, tuple(inputs[name] for name in names), str(target), dynamo=True, opset_version=form.opset,
            input_names=names, output_names=["logits"], dynamic_shapes=((axes,) * len(names),),
            external_data=False, verbose=False,
        )  # fmt: skip
    return target


def _tried(attempt: Callable[[], str]) -> str:
    """Return the outcome, or the kind of error: exporters and runtimes have their own for what they lack."""
    try:
        return attempt()
    except Exception as problem:  # noqa: BLE001
        return f"no ({type(problem).__name__})"


def _nodes(folder: Path, form: Form, root: Path) -> str:
    target = root / "nodes" / f"{FORMS.index(form)}.onnx"
    return _tried(lambda: str(graph_facts(exported(folder, form, target))["nodes"]))


def _change(folder: Path, form: Form, root: Path) -> str:
    """Return the largest change on other lengths and batches than those that were traced."""

    def largest() -> str:
        graph = exported(folder, form, root / "graphs" / f"{FORMS.index(form)}.onnx")
        exact, given = runner(load_classifier(folder)), graph_runner(open_session(graph, tiny.CPU))
        inputs = probes(read_config(folder))
        changes = [float(np.abs(exact(padded) - given(padded)).max()) for padded in inputs]
        return f"{max(changes):.0e}"

    return _tried(largest)


def _speed(folder: Path, root: Path) -> Iterator[str]:
    """Yield seconds to export, whether attention is fused, and CPU time over the older one's fused graph."""
    runs: dict[tuple[str, str], Run] = {}
    seconds, attention = [], []
    for form in FORMS:
        start = time.perf_counter()
        graph = exported(folder, form, root / "speed" / f"{FORMS.index(form)}.onnx")
        seconds.append(f"{time.perf_counter() - start:.1f}")
        fused = graph.with_suffix(".fused.onnx")
        kinds = fuse(graph, fused, read_config(folder))
        attention.append("yes" if kinds.get("Attention") else "no")
        for name, path in (("raw", graph), ("fused", fused)):
            runs[form.title, name] = graph_runner(open_session(path, tiny.CPU))
    yield _row("seconds to export 6 layers of 384", seconds)
    yield _row("attention recognised by the optimiser", attention)
    for length in LENGTHS:
        times = _times(runs, length)
        base = times[FORMS[0].title, "fused"]
        cells = [
            ", ".join(f"{base / times[form.title, name]:.2f}" for name in ("raw", "fused")) for form in FORMS
        ]
        yield _row(f"speed, {length} tokens: raw, fused", cells)


def _times(runs: dict[tuple[str, str], Run], length: int) -> dict[tuple[str, str], float]:
    """Return the median CPU seconds of a call of each graph, interleaved."""
    padded, times = pad([sequence(length, seed=0)], 0), {name: list[float]() for name in runs}
    for _ in range(CALLS):
        for name, run in runs.items():
            start = time.thread_time()
            run(padded)
            times[name].append(time.thread_time() - start)
    return {name: statistics.median(each) for name, each in times.items()}
