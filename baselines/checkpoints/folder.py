"""What a Hugging Face checkpoint folder must hold, and the refusals that keep loading it safe.

Weights come from safetensors only, since a pickle can run code when it is read; code that comes with a
checkpoint is never run. Reads files only: no torch, no transformers.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.common.errors import CheckpointError

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
# files that transformers can turn into a fast tokenizer: WordPiece, byte-level BPE, SentencePiece
_VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model")
_CONVERT = (
    'If you trust the file, convert it in its folder: python -c "import torch, safetensors.torch as s; '
    "s.save_file({{k: v.clone() for k, v in torch.load('{name}', weights_only=True).items()}}, "
    "'model.safetensors', metadata={{'format': 'pt'}})\""
)


def read_config(folder: Path) -> dict[str, Any]:
    """Return `config.json`; CheckpointError if it is missing, broken, or asks for code of its own."""
    config = _read_json(folder / CONFIG)
    for name, found in ((CONFIG, config), ("tokenizer_config.json", _optional_json(folder))):
        if "auto_map" in found:
            raise CheckpointError(
                f"{name} asks for code that comes with the checkpoint (auto_map), which is never run.",
                where=folder.name,
                remedy="Use a checkpoint of an architecture that transformers itself knows.",
            )
    return config


def is_span_checkpoint(config: Mapping[str, Any]) -> bool:
    """Say whether a checkpoint has the head for two spans (`baselines/models/span_classifier.py`)."""
    return any(str(name).endswith("ForSpanClassification") for name in config.get("architectures") or ())


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not a whole, safe checkpoint; CheckpointError says what is wrong with it."""
    if not folder.is_dir():
        raise CheckpointError(
            "there is no such folder.", where=str(folder), remedy="--model takes a folder or a name."
        )
    read_config(folder)
    for path in weight_files(folder):
        tensor_names(path)
    if not _tokenizer_files(folder):
        raise CheckpointError(
            f"the checkpoint has no tokenizer ({TOKENIZER}, or {', '.join(_VOCABULARIES)}).",
            where=str(folder),
            remedy="Copy the tokenizer's files of the model it was trained from into the folder.",
        )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files, all shards of a sharded checkpoint; CheckpointError if there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / _INDEX).is_file():
        raise _no_weights(folder)
    shards = sorted(set(_read_json(folder / _INDEX).get("weight_map", {}).values()))
    for shard in shards:
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise CheckpointError(f"shard {shard} is missing.", where=str(folder), remedy="Copy it again.")
    return [folder / shard for shard in shards]


def tensor_names(path: Path) -> list[str]:
    """Return the names in a safetensors file, whose header and length are checked on the way."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            return list(tensors.keys())
    except SafetensorError as problem:
        raise CheckpointError(
            f"not a whole safetensors file ({problem}).",
            where=str(path),
            remedy="The file may be truncated, or a Git LFS pointer: copy it again.",
        ) from None


def fingerprint(folder: Path) -> str:
    """Return the sha256 over names and contents of weights, configuration and tokenizer."""
    total = hashlib.sha256()
    for path in (*weight_files(folder), folder / CONFIG, *_tokenizer_files(folder)):
        total.update(f"{path.name} {file_sha256(path)}\n".encode())
    return total.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _tokenizer_files(folder: Path) -> list[Path]:
    if (folder / TOKENIZER).is_file():
        return [folder / TOKENIZER]
    names = (*_VOCABULARIES, "merges.txt", "tokenizer_config.json")
    found = [folder / name for name in names if (folder / name).is_file()]
    return found if any(path.name in _VOCABULARIES for path in found) else []


def _no_weights(folder: Path) -> CheckpointError:
    pickled = sorted(_pickles(folder))
    if not pickled:
        remedy = f"A checkpoint needs {WEIGHTS}, {CONFIG} and {TOKENIZER}: save it with save_pretrained()."
        return CheckpointError(f"the checkpoint has no {WEIGHTS}.", where=str(folder), remedy=remedy)
    name = pickled[0].name
    return CheckpointError(
        f"{name} is a pickle, which can run code when it is read, and there is no {WEIGHTS}.",
        where=str(folder),
        remedy=_CONVERT.format(name=name),
    )


def _pickles(folder: Path) -> Iterator[Path]:
    for pattern in _PICKLES:
        # optimiser state and training arguments lie beside weights, and are not weights
        yield from (path for path in folder.glob(pattern) if path.stem not in ("training_args", "optimizer"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"the checkpoint has no {path.name}.", where=str(path.parent)) from None
    except ValueError as problem:
        raise CheckpointError(f"not JSON ({problem}).", where=str(path), remedy="Copy it again.") from None
    if not isinstance(found, dict):
        raise CheckpointError("not a JSON object.", where=str(path), remedy="Copy it again.")
    return found


def _optional_json(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return _read_json(path) if path.is_file() else {}
