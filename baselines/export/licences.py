"""What is known of the terms under which a model may be handed on; where nothing is known, that is said."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines.checkpoints.folder import CONFIG, fingerprint
from harness.common.errors import CheckpointError
from harness.systems.interface import Checkpoint

UNKNOWN = "unknown: ask whoever trained it"

_OURS = "Apache-2.0: it ships with fastformers-bench"
_FILES = ("LICENSE*", "LICENCE*", "COPYING*")
# the metadata of a model card stand between two lines of dashes
_CARD = re.compile(r"---\n(.*?)\n---", re.DOTALL)
_FIELD = re.compile(r"^license:[ \t]*([\w.+-]+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Licence:
    """What is `said` of the licence of a model, and its `text` where the model's folder has one."""

    model: str
    said: str
    text: str | None = None


def licences_of(checkpoint: Checkpoint) -> list[Licence]:
    """Return what is known of a checkpoint's licence, and of that of the model it was fine-tuned from."""
    if checkpoint.tier == "embedded":
        return [Licence(checkpoint.name, _OURS)]
    own = _stated(checkpoint.name, checkpoint.folder)
    training = _json(checkpoint.folder / "training.json")
    if not training.get("parent_name"):
        return [own]
    parent = _parent(str(training["parent_name"]), [str(each) for each in training.get("parents", ())])
    return [replace(own, said=f"{own.said}; it was fine-tuned from `{parent.model}`"), parent]


def _parent(name: str, hashes: list[str]) -> Licence:
    """Return the licence of the model that `bench train` started from, where that model is still at hand."""
    name = Path(name).name
    if name == "embedded":
        return Licence(name, _OURS)
    if name == "minilm":
        from baselines.models.resolve import minilm_folder

        try:
            folder = minilm_folder()
        except CheckpointError:
            return Licence(name, UNKNOWN)
        if fingerprint(folder) in hashes:
            return _stated(name, folder)
    return Licence(name, UNKNOWN)


def _stated(model: str, folder: Path) -> Licence:
    """Return what a folder says: a licence file, else its model card, else its configuration."""
    files = sorted(path for pattern in _FILES for path in folder.glob(pattern) if path.is_file())
    named = _card(folder / "README.md") or _json(folder / CONFIG).get("license")
    if files:
        said = f"{named or 'see below'} ({files[0].name} of its folder)"
        return Licence(model, said, files[0].read_text(encoding="utf-8", errors="replace"))
    if named:
        return Licence(model, f"{named}, as its folder says")
    return Licence(model, UNKNOWN)


def _card(path: Path) -> str | None:
    try:
        card = _CARD.match(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    found = _FIELD.search(card[1]) if card else None
    return found[1] if found else None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
