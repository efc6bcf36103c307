"""The engine of an exported folder: its module, its files, and its fields of settings.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import read_config
from baselines.engines.ctranslate2_weights import HEAD, second_input
from baselines.engines.ctranslate2_weights import MODEL as CTRANSLATE2_MODEL
from baselines.engines.onnx.runtime import GRAPH
from baselines.engines.openvino import MODEL as OPENVINO_MODEL
from baselines.engines.openvino import Precision, compiled_lengths
from baselines.models.families import facts_of
from harness.systems.interface import Settings


@dataclass(frozen=True, slots=True)
class EngineFiles:
    """What runs the model in an exported folder.

    `module` is the text of engine.py, whose class `Engine` serve.py uses. `files` are the model's files by
    their names in the folder: paths to copy, or contents to write. `settings` are the engine's fields of
    settings.json, `libraries` the distributions that it needs, `notes` what README.md says about it.
    `loads_in_optimum` is true for a folder that `optimum` loads too.
    """

    module: str
    files: Mapping[str, Path | str | bytes]
    settings: Mapping[str, Any]
    libraries: tuple[str, ...]
    notes: str = ""
    loads_in_optimum: bool = field(default=False)


def onnx_engine(folder: Path, options: Mapping[str, Any]) -> EngineFiles:
    """Return the engine of an artifact with an ONNX graph; `options` are those of engine_onnx.py."""
    graphs = [GRAPH, *([options["maskless"]] if "maskless" in options else [])]
    # a large graph's weights are a second file
    paths = [path for graph in graphs for path in folder.glob(f"{graph}*")]
    return EngineFiles(
        module=_module("engine_onnx.py"),
        files={path.name: path for path in paths},
        settings={"engine": "onnxruntime", "model": GRAPH, **options},
        libraries=("onnxruntime",),
        loads_in_optimum=True,
    )


def openvino_engine(folder: Path, settings: Settings, precision: Precision) -> EngineFiles:
    """Return the engine of an artifact with an OpenVINO model, for one request at a time on all threads."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": "NO",
    }
    paths = (folder / OPENVINO_MODEL, (folder / OPENVINO_MODEL).with_suffix(".bin"))
    return EngineFiles(
        module=_module("engine_openvino.py"),
        files={path.name: path for path in paths},
        settings={
            "engine": "openvino",
            "model": OPENVINO_MODEL,
            "openvino": options,
            "lengths": list(compiled_lengths(settings.max_length)),
        },
        libraries=("openvino",),
    )


def ctranslate2_engine(folder: Path, compute: str) -> EngineFiles:
    """Return the engine of an artifact with a CTranslate2 model of this compute type."""
    facts = facts_of(read_config(folder))
    paths = {f"{CTRANSLATE2_MODEL}/{path.name}": path for path in (folder / CTRANSLATE2_MODEL).iterdir()}
    return EngineFiles(
        module=_module("engine_ctranslate2.py"),
        files={**paths, HEAD: folder / HEAD},
        settings={
            "engine": "ctranslate2",
            "model": CTRANSLATE2_MODEL,
            "compute": compute,
            "second_input": second_input(facts),
            "activation": facts.head.activation,
            "pooling": facts.head.pooling,
        },
        libraries=("ctranslate2", "safetensors"),
    )


def _module(name: str) -> str:
    return files("baselines.export").joinpath(name).read_text(encoding="utf-8")
