"""Maintenance of the cache: list its entries, check their files, remove old ones.

An entry that a process has locked is never removed, and a removed entry disappears at once: several of these
commands may run concurrently, beside runs that fill the cache.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.common.errors import StoreError
from harness.common.inputs.files import CHECKPOINT_JSON, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.json_types import JsonObject
from harness.systems.artifact_cache import (
    MANIFEST,
    REMOVING,
    SEAL,
    WRITING,
    ArtifactCache,
    file_sha256,
    folder_bytes,
    in_use,
    read_manifest,
)
from harness.systems.encoding_cache import RECIPE

Kind = Literal["artifact", "encoding", "unfinished"]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One folder of the cache; `made` and `used` are seconds since the epoch.

    An `unfinished` entry is work that can be resumed, a folder that a killed process was filling, or a folder
    with an unreadable manifest; its `manifest` is empty.
    """

    kind: Kind
    key: str
    folder: Path
    manifest: Mapping[str, Any]
    size_bytes: int
    made: float
    used: float

    @property
    def recipe(self) -> str:
        """The recipe that made it."""
        return "unfinished" if self.kind == "unfinished" else str(self.manifest.get("recipe", "unknown"))

    @property
    def parents(self) -> tuple[str, ...]:
        """The hashes of the inputs that it was made from."""
        parents = self.manifest.get("parents", ())
        return tuple(map(str, parents)) if isinstance(parents, list | tuple) else ()

    @property
    def seconds(self) -> float | None:
        """How long it took to make, or None if unknown."""
        seconds = self.manifest.get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else None


@dataclass(frozen=True, slots=True)
class IntegrityCheck:
    """The result of a check: one message per damaged file, or why the entry cannot be checked."""

    entry: CacheEntry
    broken: tuple[str, ...] = ()
    uncheckable: str | None = None


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """Which entries to remove: those that match any of these criteria.

    `older_than` is in seconds since the last use. `keep_under` is the total size in bytes that may remain;
    the least recently used artifacts and encodings are removed until the rest fits.
    """

    older_than: float | None = None
    keep_under: int | None = None
    unfinished: bool = False
    everything: bool = False


@dataclass(frozen=True, slots=True)
class PruneResult:
    """The entries that were removed, those kept because they are in use, and the bytes that remain."""

    removed: tuple[CacheEntry, ...]
    in_use: tuple[CacheEntry, ...]
    left_bytes: int


def cache_entries(cache: ArtifactCache) -> list[CacheEntry]:
    """Return all entries of the cache: artifacts and encodings by last use, then unfinished ones."""
    entries = [entry for folder in _folders(cache.root) if (entry := _entry(folder))]
    return sorted(entries, key=lambda entry: (entry.kind == "unfinished", -entry.used, entry.key))


def data_bytes(cache: ArtifactCache) -> int:
    """Return the size of the data sets that are stored below the cache; they are not among its entries."""
    return folder_bytes(cache.root / "data")


def check_entry(entry: CacheEntry) -> IntegrityCheck | None:
    """Compare an artifact's files with the sizes and hashes in `files.json`; None if it was just removed."""
    if entry.kind == "unfinished" and not (entry.folder / SEAL).exists():
        return IntegrityCheck(entry, uncheckable="it is unfinished")
    try:
        with in_use([entry.folder]):
            return _check_files(entry)
    except StoreError:
        return None


def prune(cache: ArtifactCache, request: PruneRequest, now: float, *, dry_run: bool = False) -> PruneResult:
    """Remove the matching entries that are not in use, least recently used first.

    With `dry_run` nothing is removed; the result is the same.
    """
    if not dry_run:
        _remove_leftovers(cache)
    entries = cache_entries(cache)
    left = sum(entry.size_bytes for entry in entries)
    removed: list[CacheEntry] = []
    busy: list[CacheEntry] = []
    for entry in sorted(entries, key=lambda entry: (not _matches(entry, request, now), entry.used)):
        too_large = request.keep_under is not None and left > request.keep_under
        if not _matches(entry, request, now) and (not too_large or entry.kind == "unfinished"):
            continue
        if cache.remove(entry.folder, dry_run=dry_run):
            removed.append(entry)
            left -= entry.size_bytes
        elif entry.folder.exists():
            busy.append(entry)
        else:  # another process removed it
            left -= entry.size_bytes
    return PruneResult(tuple(removed), tuple(busy), left)


def _matches(entry: CacheEntry, request: PruneRequest, now: float) -> bool:
    old = request.older_than is not None and now - entry.used > request.older_than
    return request.everything or old or (request.unfinished and entry.kind == "unfinished")


def _folders(root: Path) -> Iterator[Path]:
    for name in ("artifacts", "working"):
        with suppress(OSError):
            paths = sorted((root / name).iterdir())
            yield from (path for path in paths if not path.name.startswith(REMOVING))


def _entry(folder: Path) -> CacheEntry | None:
    """Return the entry of a folder; None for a file, or for a folder that was just removed."""
    if not folder.is_dir():
        return None
    complete = folder.parent.name == "artifacts" and not folder.name.startswith(WRITING)
    manifest = read_manifest(folder) if complete else None
    try:
        if manifest is None:
            made, used = _span(folder)
            return CacheEntry("unfinished", folder.name, folder, {}, folder_bytes(folder), made, used)
        made, used = (folder / MANIFEST).stat().st_mtime, folder.stat().st_mtime
    except OSError:
        return None
    kind: Kind = "encoding" if manifest.get("recipe") == RECIPE else "artifact"
    return CacheEntry(kind, folder.name, folder, manifest, folder_bytes(folder), made, used)


def _span(folder: Path) -> tuple[float, float]:
    """Return the oldest and the newest modification time of a folder and everything in it."""
    times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
    return min(times), max(times)


def _check_files(entry: CacheEntry) -> IntegrityCheck:
    if not (entry.folder / SEAL).exists():
        return IntegrityCheck(entry, uncheckable=f"it has no {SEAL}: an older version made it")
    try:
        seals = parse_json_object(read_input(entry.folder / SEAL, CHECKPOINT_JSON, StoreError))
        damages = [_damage(entry.folder, name, seal) for name, seal in seals.items()]
    except (StoreError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return IntegrityCheck(entry, broken=(f"{SEAL} cannot be read",))
    return IntegrityCheck(entry, broken=tuple(damage for damage in damages if damage))


def _damage(folder: Path, name: str, seal: JsonObject) -> str | None:
    """Return how a file differs from its seal, or None; the size is compared first, as that costs little."""
    path = folder / name
    try:
        size = path.stat().st_size
        if size != seal["bytes"]:
            return f"{name} has {size:,} bytes instead of {seal['bytes']:,}"
        return None if file_sha256(path) == seal["sha256"] else f"the content of {name} has changed"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"


def _remove_leftovers(cache: ArtifactCache) -> None:
    """Remove folders that were renamed for removal by a process that was killed before it deleted them."""
    for name in ("artifacts", "working"):
        for path in (cache.root / name).glob(f"{REMOVING}*"):
            shutil.rmtree(path, ignore_errors=True)
