"""The configuration of a checkpoint as transformers reads it: config.json with the defaults of its family.

    complete                      --> the checkpoint's folder
    fields left to their defaults --> a copy of the folder with these fields

A file may leave out what equals the default of its family, or name it as its family does (`n_positions`).
Everything else in this package reads the JSON alone, so what it reads is filled in once per checkpoint.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import MANIFEST, cache_key, find_or_make, library_versions
from baselines.checkpoints.folder import CONFIG, read_config
from baselines.checkpoints.labels import label_names
from baselines.models.transformers_settings import LOCAL, quiet_transformers
from harness.common.errors import CheckpointError
from harness.common.json_types import JsonObject
from harness.systems.interface import Cache
from harness.workload.tasks.base import Task

_FIELDS = (
    *("vocab_size", "pad_token_id", "type_vocab_size", "hidden_size", "num_hidden_layers"),
    "max_position_embeddings",
    *("num_attention_heads", "intermediate_size", "hidden_act"),
    *("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
)
"""The fields that this package reads, under the names of the families that it knows."""

_ALIASED = ("max_position_embeddings",)
"""The fields that it reads under these names, also where a family has others for them."""


def with_defaults(folder: Path, sha256: str, cache: Cache, task: Task) -> Path:
    """Return a folder whose config.json has every field that is read: this one, or a copy.

    `sha256` is the fingerprint of the folder. CheckpointError as `missing_defaults` raises it.
    """
    libraries = library_versions("transformers")
    facts = {"version": 1, "parents": [sha256]}

    def read(_: Path) -> dict[str, object]:
        # once per checkpoint: it imports transformers
        return {"recipe": "config-defaults", **facts, "defaults": missing_defaults(folder)}

    key = cache_key("config-defaults", 1, task, [sha256], libraries=libraries)
    defaults: JsonObject = find_or_make(cache, key, read).manifest["defaults"]
    if not defaults:
        return folder

    def copy(target: Path) -> dict[str, object]:
        for path in folder.iterdir():
            if path.is_file() and path.name != MANIFEST:
                shutil.copy(path, target)
        config = {**read_config(folder), **defaults}
        (target / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return {"recipe": "with-defaults", **facts}

    key = cache_key("with-defaults", 1, task, [sha256], defaults=defaults)
    return find_or_make(cache, key, copy).folder


def missing_defaults(folder: Path) -> JsonObject:
    """Return the fields that config.json lacks, as its family fills them.

    CheckpointError if transformers does not have the model type, or refuses a field.
    """
    raw = read_config(folder)
    label_names(raw, folder.name)
    config = _load(folder, raw)
    own = config.to_dict()
    values = {name: own.get(name) for name in _FIELDS} | {
        # a name that the class maps to its own; others have no limit of positions
        name: getattr(config, name)
        for name in _ALIASED
        if name in config.attribute_map
    }
    return {name: value for name, value in values.items() if value is not None and name not in raw}


def _load(folder: Path, raw: JsonObject) -> Any:  # noqa: ANN401 -- the class differs between families
    from transformers import CONFIG_MAPPING, AutoConfig, __version__

    model_type = raw.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise CheckpointError(
            f"{CONFIG} has no model_type, which names the architecture.",
            where=folder.name,
            remedy='Add it ("model_type": "bert", say), or copy the file that save_pretrained() wrote.',
        )
    if model_type not in CONFIG_MAPPING:
        raise CheckpointError(
            f"{CONFIG} names the model type {model_type!r}, which transformers {__version__} does not have.",
            where=folder.name,
            remedy="Use a model of an architecture that transformers implements, or a version that has it.",
        )
    if raw.get("quantization_config"):
        raise CheckpointError(
            f"its weights are quantised (quantization_config in {CONFIG}), and need a library of their own.",
            where=folder.name,
            remedy="Give the checkpoint in floating point; variants in int8 are made from that.",
        )
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, **LOCAL)
    except Exception as problem:  # its checks of fields have no common base class
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        reason = " ".join(lines[:3]) or type(problem).__name__
        raise CheckpointError(
            f"transformers cannot read {CONFIG} ({reason.rstrip('.')}).",
            where=folder.name,
            remedy=f"Correct the field in {CONFIG}, or copy the file that save_pretrained() wrote.",
        ) from problem
