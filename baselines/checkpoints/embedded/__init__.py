"""The tiny encoder that ships with the package, and how to unpack it for one task.

One trunk serves every task; `heads.json` says which rows of the classifier, or of the span classifier for
tasks that ask about spans, belong to which task. Made by
`baselines/training/scratch/pretrain.py`; `training.json` says how. Weights are stored as float16 to keep
the package small and are unpacked to float32. Unpacking needs neither torch nor transformers.
"""

import json
import os
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from harness.common.errors import CheckpointError
from harness.workload.tasks import get_task

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_CLASSIFIER = ("classifier.weight", "classifier.bias")


def tasks() -> tuple[str, ...]:
    """Name the tasks that the shipped encoder was trained for."""
    return tuple(json.loads((files(__package__) / "heads.json").read_text(encoding="utf-8")))


def materialise(task: str, folder: Path) -> Path:
    """Write the shipped encoder into a folder as an ordinary Hugging Face checkpoint for one task.

    The folder is missing or empty before, and complete or still so after. CheckpointError for a task that the
    encoder was not trained for.
    """
    with as_file(files(__package__) / "heads.json") as heads:
        return unpack(heads.parent, task, folder)


def unpack(shipped: Path, task: str, folder: Path) -> Path:
    """Do the same from any folder in the shipped form, such as the output of a training of one's own."""
    heads: dict[str, dict[str, int]] = json.loads((shipped / "heads.json").read_text(encoding="utf-8"))
    if task not in heads:
        raise CheckpointError(
            f"it has no head for {task}; it was trained for {', '.join(heads)}.",
            where=shipped.name,
            remedy="Use one of these tasks, or train another encoder first (bench train --model minilm).",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        spans = get_task(task).head == "span"
        _write_weights(shipped, unfinished, list(heads[task].values()), spans=spans)
        _write_config(shipped, unfinished, list(heads[task]), spans=spans)
        for name in _TOKENIZER_FILES:
            shutil.copy(shipped / name, unfinished / name)
        unfinished.chmod(0o755)
        os.replace(unfinished, folder)  # noqa: PTH105 -- Path.replace says the same of files only
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write_weights(shipped: Path, folder: Path, rows: list[int], *, spans: bool) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(shipped / "model.safetensors")
    heads = {name: tensors.pop(name) for name in list(tensors) if "classifier." in name}
    for name in _CLASSIFIER:
        tensors[name] = heads[f"span_{name}" if spans else name][rows]
    unused = "bert.pooler." if spans else "-"  # a span's head does not read the first token
    wide = {name: tensor.astype("float32") for name, tensor in tensors.items() if not name.startswith(unused)}
    save_file(wide, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private


def _write_config(shipped: Path, folder: Path, labels: list[str], *, spans: bool) -> None:
    config: dict[str, Any] = json.loads((shipped / "config.json").read_text(encoding="utf-8"))
    config |= {
        "architectures": [f"BertFor{'Span' if spans else 'Sequence'}Classification"],
        "dtype": "float32",
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
