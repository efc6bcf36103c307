"""Licences of an exported model and of the model that it was fine-tuned from, where they can be found."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from baselines.checkpoints.folder import CONFIG, fingerprint, read_json_or_empty
from harness.common.errors import CheckpointError
from harness.systems.interface import Checkpoint

UNKNOWN = "unknown: ask whoever trained it"

_EMBEDDED = "Apache-2.0: it ships with fastformers-bench"
_LICENCE_FILES = ("LICENSE*", "LICENCE*", "COPYING*")
_CARD_METADATA = re.compile(r"---\n(.*?)\n---", re.DOTALL)
_LICENCE_FIELD = re.compile(r"^license:[ \t]*([\w.+-]+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of a model's licence in a few words, and its `text` where the model's folder has one."""

    model: str
    terms: str
    text: str | None = None


def find_licences(checkpoint: Checkpoint) -> list[Licence]:
    """Return the licence of a checkpoint, and that of the model that it was fine-tuned from, if any."""
    if checkpoint.tier == "embedded":
        return [Licence(checkpoint.name, _EMBEDDED)]
    own = _read_licence(checkpoint.name, checkpoint.folder)
    training = read_json_or_empty(checkpoint.folder / "training.json")
    if not training.get("parent_name"):
        return [own]
    hashes = [str(parent) for parent in training.get("parents", ())]
    parent = _parent_licence(str(training["parent_name"]), hashes)
    return [replace(own, terms=f"{own.terms}; it was fine-tuned from `{parent.model}`"), parent]


def _parent_licence(name: str, hashes: list[str]) -> Licence:
    """Return the licence of the model that `bench train` started from, if that model can be found here."""
    name = Path(name).name
    if name == "embedded":
        return Licence(name, _EMBEDDED)
    if name == "minilm":
        from baselines.models.resolve import minilm_folder

        try:
            folder = minilm_folder()
        except CheckpointError:
            return Licence(name, UNKNOWN)
        if fingerprint(folder) in hashes:
            return _read_licence(name, folder)
    return Licence(name, UNKNOWN)


def _read_licence(model: str, folder: Path) -> Licence:
    """Return the licence that a folder states: in a file, else its model card, else its configuration."""
    files = sorted(path for pattern in _LICENCE_FILES for path in folder.glob(pattern) if path.is_file())
    name = _model_card_licence(folder / "README.md") or read_json_or_empty(folder / CONFIG).get("license")
    if files:
        terms = f"{name or 'see below'} ({files[0].name} of its folder)"
        return Licence(model, terms, files[0].read_text(encoding="utf-8", errors="replace"))
    if name:
        return Licence(model, f"{name}, as stated in its folder")
    return Licence(model, UNKNOWN)


def _model_card_licence(path: Path) -> str | None:
    """Return the field `license` of a model card's metadata, which is between two lines of dashes."""
    try:
        metadata = _CARD_METADATA.match(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    field = _LICENCE_FIELD.search(metadata[1]) if metadata else None
    return field[1] if field else None
