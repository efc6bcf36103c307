"""Readers of settings: options and sweeps, ladders, rules of a gate, prices, intensities, curves, a trace."""

import json
from collections.abc import Callable
from pathlib import Path

from fuzzing.target import Target
from harness.analysis.gate.rules import read_rules
from harness.cli.options.cost import grid
from harness.cli.results.plan_demand import read_trace
from harness.common.inputs.yaml_text import read_yaml
from harness.measurement.energy.cpu.models.power_curve_file import read_curves
from harness.records.ladder import read_ladder
from harness.runs.planning.sweep_file import AllowedNames, read_sweep_file
from reports import prices_of

_NAMES = AllowedNames(
    options=("task", "variants", "threads", "max-length", "profile", "quiet"),
    lists=("task", "variants"),
    crossed=("threads", "max-length"),
    others=("gate",),
)
_SWEEP = b"""# options
task: boolq
variants: [null, onnx-int8]
quiet: true
sweep:
  task: [cb, rte]
  threads: [1, 2]
  max-length: [128, 256]
gate: &rules {latency_p50: {max-degradation: 5%}}
"""
_LADDER = b"""name: mine
parameters: {layers: 3, share: 0.5}
rungs:
- {name: fixed, engine: pytorch-fixed}
- name: small
  engine: pytorch-dynamic
  recipes: [{recipe: distil, layers: $layers}]
- name: fast
  like: small
  over: fixed
  then: [{recipe: onnx-int8}]
  instances: cores
  environment: {OMP_NUM_THREADS: 1}
- {name: both, cascade: [small, fixed], about: "two stages", optional: true}
"""
_RULES = b"""gate:
  latency_p50: {max-degradation: 5%}
  accuracy: {max-degradation: 0.5}
  energy: {max-degradation: 5.5%, requires: measured}
  throughput: {}
"""
_PRICES = b"source: a list\nusd_per_hour: {small: 0.1, large: 2}\n"
_CURVES = b"""source: a laboratory
licence: CC0
date: 2026-01-01
processors:
  A: {watts: {0: 1, 50: 3, 100: 6}, low: {0: 1, 100: 5}}
instances:
  a.large: {vcpus: 2, processors: [A], server: {kg_co2e: 100, vcpus: 8}}
prices: {source: a list, date: 2026-01-01, usd_per_hour: {a.large: 0.1}}
"""
_TRACE = b"seconds,requests\n0,60\n60,600\n120,60\n"
_GRID = b"source: the wind\ngrams_per_kwh: 90\n"


def settings_targets() -> list[Target]:
    """Return the readers of YAML."""
    return [
        Target("options and sweeps", [_SWEEP], _of_path(lambda path: read_sweep_file(path, _NAMES))),
        Target("ladders", [_LADDER], _of_path(_ladder)),
        Target("rules of the gate", [_RULES], _of_path(read_rules)),
        Target("prices", [_PRICES], _of_path(lambda path: prices_of(read_yaml(path).value, "p.yaml"))),
        Target("power curves and prices", [_CURVES], _of_path(read_curves)),
        Target("traces of arrivals", [_TRACE], _of_path(read_trace)),
        Target("intensities", [_GRID], _of_path(lambda path: grid(str(path)))),
    ]


def _of_path(read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    def of_bytes(folder: Path, content: bytes) -> object:
        path = folder / "file.yaml"
        path.write_bytes(content)
        return read(path)

    return of_bytes


def _ladder(path: Path) -> None:
    """Read a ladder, and write it as messages to workers and records hold it."""
    ladder = read_ladder(path, {})
    json.dumps([rung.words() for rung in ladder.rungs], allow_nan=False)
    json.dumps(ladder.facts(), allow_nan=False)
