"""Checks of a Hugging Face checkpoint folder: its files are complete and safe to load.

Weights are read from safetensors only, since a pickle can run code when it is read. Code that comes with a
checkpoint is never run. This module reads files only: it needs neither torch nor transformers.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.common.errors import CheckpointError
from harness.common.inputs.files import CHECKPOINT_JSON, InvalidText, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.json_types import JsonObject

CONFIG = "config.json"
ADAPTER = "adapter_config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
# the files that transformers can turn into a fast tokenizer: WordPiece, byte-level BPE, SentencePiece
_VOCABULARIES = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model")
_TOKENIZER_FILES = (
    *("tokenizer*", "vocab*", "merges*", "*.model", "*.spm", "*.codes", "*.tiktoken", "*.tokenizer"),
    *("added_tokens.json", "special_tokens_map.json", "dict.txt", "emoji.json", "entity_vocab.json"),
    *("byte_maps.json", "tekken.json"),
)
"""What transformers' tokenizers read, in any of their classes; a file that one class ignores counts too."""

_MERGE = (
    "Merge the adapter into its model (N is the number of labels): "
    'python -c "from peft import AutoPeftModelForSequenceClassification as M; '
    "from transformers import AutoTokenizer as T; M.from_pretrained('{folder}', num_labels=N)"
    ".merge_and_unload().save_pretrained('merged'); T.from_pretrained('{folder}').save_pretrained('merged')\""
)
_CONVERT = (
    'If you trust the file, convert it in its folder: python -c "import torch, safetensors.torch as s; '
    "s.save_file({{k: v.clone() for k, v in torch.load('{name}', weights_only=True).items()}}, "
    "'model.safetensors', metadata={{'format': 'pt'}})\""
)


def read_config(folder: Path) -> JsonObject:
    """Return `config.json`; CheckpointError if it is missing, broken, or requires code of its own."""
    config = _read_json(folder / CONFIG)
    for name, fields in ((CONFIG, config), ("tokenizer_config.json", _tokenizer_config(folder))):
        if "auto_map" in fields:
            raise CheckpointError(
                f"{name} requires code that comes with the checkpoint (auto_map), which is never run.",
                where=folder.name,
                remedy="Use a checkpoint of an architecture that transformers itself implements.",
            )
    return config


def is_span_checkpoint(config: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint has the head for two spans (`baselines/models/span_classifier.py`)."""
    return any(str(name).endswith("ForSpanClassification") for name in config.get("architectures") or ())


def check_folder(folder: Path) -> None:
    """Raise CheckpointError if a folder is not a complete, safe checkpoint."""
    if not folder.is_dir():
        raise CheckpointError(
            "there is no such folder.", where=str(folder), remedy="Give --model a folder or a name."
        )
    _refuse_adapter(folder)
    read_config(folder)
    for path in weight_files(folder):
        tensor_names(path)
    if not any((folder / name).is_file() for name in (TOKENIZER, *_VOCABULARIES)):
        raise CheckpointError(
            f"the checkpoint has no tokenizer ({TOKENIZER}, or {', '.join(_VOCABULARIES)}).",
            where=str(folder),
            remedy="Copy the tokenizer files of the model that it was trained from into the folder.",
        )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files, all shards of a sharded checkpoint; CheckpointError if there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        raise _no_weights(folder)
    weight_map = _read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            "the index names no weights (weight_map).",
            where=str(folder / INDEX),
            remedy="Copy the file again.",
        )
    shards = sorted(set(map(str, weight_map.values())))
    for shard in shards:
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise CheckpointError(f"shard {shard} is missing.", where=str(folder), remedy="Copy it again.")
    return [folder / shard for shard in shards]


def tensor_names(path: Path) -> list[str]:
    """Return the names in a safetensors file; CheckpointError if its header and length do not agree."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            return list(tensors.keys())
    except SafetensorError as problem:
        raise CheckpointError(
            f"not a complete safetensors file ({problem}).",
            where=str(path),
            remedy="The file may be truncated, or a Git LFS pointer: copy it again.",
        ) from None


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a complete safetensors file, by name."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as tensors:
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118


def fingerprint(folder: Path) -> str:
    """Return the sha256 over names and contents of every file that decides answers.

    They are weights, their index, configuration, and all files that a tokenizer may read.
    """
    digest = hashlib.sha256()
    weights = weight_files(folder)
    index = [folder / INDEX] if weights != [folder / WEIGHTS] else []
    for path in (*weights, folder / CONFIG, *tokenizer_files(folder), *index):
        digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files that a tokenizer may read: tokenizer.json first, then the others by name."""
    paths = {path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file()}
    return sorted(paths, key=lambda path: (path.name != TOKENIZER, path.name))


def _refuse_adapter(folder: Path) -> None:
    """Raise CheckpointError for a PEFT adapter: transformers would look for the model that it belongs to."""
    if not (folder / ADAPTER).is_file():
        return
    if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        remedy = f"If the weights are merged, remove {ADAPTER} and adapter_model.* from the folder."
    else:
        remedy = _MERGE.format(folder=folder)
    base = _read_json(folder / ADAPTER).get("base_model_name_or_path") or "a model without a name"
    raise CheckpointError(
        f"a PEFT adapter of {base} ({ADAPTER}), not a whole model.", where=str(folder), remedy=remedy
    )


def _no_weights(folder: Path) -> CheckpointError:
    pickles = sorted(_pickles(folder))
    if not pickles:
        remedy = f"A checkpoint needs {WEIGHTS}, {CONFIG} and {TOKENIZER}: save it with save_pretrained()."
        return CheckpointError(f"the checkpoint has no {WEIGHTS}.", where=str(folder), remedy=remedy)
    name = pickles[0].name
    return CheckpointError(
        f"{name} is a pickle, which can run code when it is read, and there is no {WEIGHTS}.",
        where=str(folder),
        remedy=_CONVERT.format(name=name),
    )


def _pickles(folder: Path) -> Iterator[Path]:
    for pattern in _PICKLES:
        # optimizer state and training arguments lie beside the weights
        yield from (path for path in folder.glob(pattern) if path.stem not in ("training_args", "optimizer"))


def _read_json(path: Path) -> JsonObject:
    if not path.exists():
        raise CheckpointError(
            f"the checkpoint has no {path.name}.",
            where=str(path.parent),
            remedy="Copy the whole folder that save_pretrained() wrote.",
        )
    content = read_input(path, CHECKPOINT_JSON, CheckpointError)
    try:
        return parse_json_object(content, lenient=True)
    except InvalidText as problem:
        raise CheckpointError(f"{problem}.", where=str(path), remedy="Copy the file again.") from None


def read_json_or_empty(path: Path) -> JsonObject:
    """Return the JSON object in a file, or an empty one if the file is missing or holds anything else."""
    try:
        return parse_json_object(read_input(path, CHECKPOINT_JSON, CheckpointError), lenient=True)
    except (CheckpointError, InvalidText):
        return {}


def _tokenizer_config(folder: Path) -> JsonObject:
    path = folder / "tokenizer_config.json"
    return _read_json(path) if path.is_file() else {}
