"""A checkpoint's tokenizer as transformers loads it, written as one tokenizer.json.

    tokenizer.json, tokenizer_config.json, vocab.txt, ... --AutoTokenizer--> tokenizer.json
        equal to the checkpoint's own --> the checkpoint's folder
        different, or it has none     --> a copy of the folder with this tokenizer.json

transformers reads more than tokenizer.json: lower-casing, accents, added tokens, the side that truncation
cuts, and whether the model has segments come from tokenizer_config.json, or are defaults of a class. Encoding
reads tokenizer.json alone (`baselines/encoding`), so all of it is written there, once per checkpoint.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions
from baselines.checkpoints.folder import CONFIG, INDEX, TOKENIZER, file_sha256, tokenizer_files, weight_files
from baselines.encoding.tokenizer_file import open_tokenizer, unreadable
from baselines.encoding.wordpiece import infer_special_tokens
from baselines.models.transformers_settings import LOCAL, quiet_transformers
from harness.common.errors import CheckpointError
from harness.systems.interface import Cache
from harness.workload.tasks.base import Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_VERSION = 1
_DESCRIBING = (CONFIG, INDEX, "training.json", "README.md", "LICENSE*", "LICENCE*", "COPYING*")
"""The files beside weights and tokenizer that are read later: for the head, its training and its licence."""

_LONGEST = 512
"""The length that is written beside the side of truncation; nothing reads it."""

_PROBES = (
    ("Is the Lake frozen?", "It IS, since 1,000 days."),
    ("Café au lait, naïve Ångström", "湖は凍っている — yes\tno"),
    ("a [SEP] b </s> <s> c", "  two  blanks\n"),
)
"""Texts that show how case, accents, scripts, blanks and special tokens in the text are treated."""


def with_library_tokenizer(folder: Path, sha256: str, cache: Cache, task: Task) -> Path:
    """Return a folder whose tokenizer.json encodes as transformers' AutoTokenizer does: this one, or a copy.

    `sha256` is the fingerprint of the folder. CheckpointError if transformers cannot load the tokenizer.
    """
    libraries = library_versions("transformers", "tokenizers")
    sources = {path.name: file_sha256(path) for path in (folder / CONFIG, *tokenizer_files(folder))}

    def derive(target: Path) -> dict[str, object]:
        save_library_tokenizer(folder, target)
        same = (folder / TOKENIZER).is_file() and _behaviour(folder) == _behaviour(target)
        if same:  # the folder's own is used
            for path in tokenizer_files(target):
                path.unlink()
        return {"recipe": "library-tokenizer", "version": _VERSION, "parents": [], "same": same}

    key = cache_key("library-tokenizer", _VERSION, task, [], sources=sources, libraries=libraries)
    derived = find_or_make(cache, key, derive)
    if derived.manifest["same"]:
        return folder

    def copy(target: Path) -> dict[str, object]:
        described = [path for pattern in _DESCRIBING for path in folder.glob(pattern) if path.is_file()]
        for path in (*weight_files(folder), *described, *tokenizer_files(derived.folder)):
            shutil.copy(path, target)
        return {"recipe": "with-library-tokenizer", "version": _VERSION, "parents": [sha256, derived.key]}

    key = cache_key("with-library-tokenizer", _VERSION, task, [sha256, derived.key])
    return find_or_make(cache, key, copy).folder


def save_library_tokenizer(folder: Path, target: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json as transformers' AutoTokenizer loads a folder."""
    try:
        _save(folder, target)
    except CheckpointError:
        raise
    except Exception as problem:  # the tokenizers library raises Exception itself
        raise unreadable(folder, problem) from problem


def _save(folder: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
        tokenizer.save_pretrained(target)
    if not (target / TOKENIZER).is_file():
        raise CheckpointError(
            "transformers has no fast tokenizer for this checkpoint.",
            where=folder.name,
            remedy="Use a checkpoint that has a tokenizer.json.",
        )
    backend, _ = open_tokenizer(target)
    if tokenizer.truncation_side == "left":
        backend.enable_truncation(_LONGEST, direction="left")
    if "token_type_ids" not in tokenizer.model_input_names:
        _give_one_segment(backend, folder)
    backend.save(str(target / TOKENIZER))
    _require_equal(tokenizer, target, folder)


def _give_one_segment(tokenizer: "Tokenizer", folder: Path) -> None:
    """Give every token segment 0: what a model reads that gets no segments."""
    if not any(tokenizer.encode("a", "b").type_ids):
        return
    from tokenizers.processors import TemplateProcessing

    single, pair = (infer_special_tokens(tokenizer, pair=pair) for pair in (False, True))
    if single is None or pair is None:
        raise CheckpointError(
            "model_input_names leaves token_type_ids out, and its post-processor has no form without them.",
            where=folder.name,
            remedy="If the model reads segments, add token_type_ids to them in tokenizer_config.json.",
        )
    ids = {*single.before, *single.after, *pair.before, *pair.between, *pair.after}
    tokenizer.post_processor = TemplateProcessing(
        single=[*map(_piece, single.before), "$A:0", *map(_piece, single.after)],
        pair=[
            *(*map(_piece, pair.before), "$A:0", *map(_piece, pair.between)),
            *("$B:0", *map(_piece, pair.after)),
        ],
        special_tokens=[
            {"id": _name(number), "ids": [number], "tokens": [tokenizer.id_to_token(number)]}
            for number in sorted(ids)
        ],
    )


def _name(number: int) -> str:
    return f"id{number}"


def _piece(number: int) -> str:
    return f"{_name(number)}:0"


def _require_equal(tokenizer: "PreTrainedTokenizerBase", target: Path, folder: Path) -> None:
    """Raise CheckpointError if tokenizer.json, which cannot hold all settings, encodes differently."""
    backend, _ = open_tokenizer(target)
    for texts in [texts for pair in _PROBES for texts in (pair[:1], pair)]:
        expected, encoding = tokenizer(*texts), backend.encode(*texts)
        segments = expected.get("token_type_ids", [0] * len(encoding.ids))
        if (expected["input_ids"], segments) != (encoding.ids, encoding.type_ids):
            raise CheckpointError(
                f"transformers encodes {texts[0]!r} in a way that a tokenizer.json cannot hold "
                f"(split_special_tokens: {tokenizer.split_special_tokens}).",
                where=folder.name,
                remedy="If the model was trained without split_special_tokens, remove it from "
                "tokenizer_config.json; else use another checkpoint.",
            )


def _behaviour(folder: Path) -> list[Any]:
    """Return what decides the ids that a folder's tokenizer.json gives, in a form that can be compared."""
    tokenizer, side = open_tokenizer(folder)
    fields = json.loads(tokenizer.to_str())
    frames = [infer_special_tokens(tokenizer, pair=pair) for pair in (False, True)]
    post_processor = fields["post_processor"] if None in frames else None
    model = {name: value for name, value in fields["model"].items() if value not in (None, "")}
    parts = [fields[name] for name in ("normalizer", "pre_tokenizer", "added_tokens")]
    return [*parts, model, frames, post_processor, side]
