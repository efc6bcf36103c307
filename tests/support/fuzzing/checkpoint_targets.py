"""Readers of a checkpoint: its JSON files, the header of its weights, its tokenizer."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tiny import write_tokenizer

from baselines.checkpoints.folder import check_folder, read_config, weight_files
from baselines.checkpoints.labels import label_columns
from baselines.encoding.tokenizer import TextEncoder
from fuzzing.target import Target
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput

_CONFIG = json.dumps(
    {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": {"0": "false", "1": "true"},
        "label2id": {"false": 0, "true": 1},
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }
).encode()
_INDEX = b'{"metadata": {}, "weight_map": {"classifier.weight": "model-1.safetensors"}}'
_EXAMPLE = Example("0", (TextInput("the lake is frozen", "is it"),))


def checkpoint_targets() -> list[Target]:
    """Return the readers of a checkpoint."""
    return [
        Target("configurations", [_CONFIG], _with("config.json", _labels)),
        Target(
            "settings of tokenizers",
            [b'{"do_lower_case": true}'],
            _with("tokenizer_config.json", read_config),
        ),
        Target("indexes of weights", [_INDEX], _index),
        Target("weights", [_weights()], _with("model.safetensors", check_folder)),
        Target("tokenizers", [_sound_files()["tokenizer.json"]], _with("tokenizer.json", _encode)),
    ]


@cache
def _sound_files() -> dict[str, bytes]:
    """Return the files of a checkpoint, without a model behind them."""
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return {**files, "config.json": _CONFIG, "model.safetensors": _weights()}


def _weights() -> bytes:
    header = json.dumps(
        {"classifier.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


def _with(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """Return a reader of a sound checkpoint in which one file has these bytes."""

    def of_bytes(folder: Path, content: bytes) -> object:
        for file, sound in _sound_files().items():
            (folder / file).write_bytes(content if file == name else sound)
        return read(folder)

    return of_bytes


def _labels(folder: Path) -> None:
    check_folder(folder)
    label_columns(read_config(folder), get_task("boolq"), folder.name)


def _index(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors.index.json").write_bytes(content)
    (folder / "model-1.safetensors").write_bytes(_weights())
    weight_files(folder)


def _encode(folder: Path) -> None:
    TextEncoder(folder, 32).encode([_EXAMPLE])
