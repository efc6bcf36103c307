"""What lies in the cache, whether it is still what was put there, and what may go.

Nothing that a process has locked is removed, and what is removed is absent at once: several of these may run
at a time, beside runs that fill the cache.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.common.errors import StoreError
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
from harness.systems.encoding_cache import RECIPE as ENCODED

Kind = Literal["artifact", "encoding", "unfinished"]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One folder of the cache: `made` and `used` are seconds since 1970.

    An `unfinished` one is work that can go on, what a killed process was filling, or a folder whose manifest
    cannot be read; it has no manifest.
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
        """What made it."""
        return "unfinished" if self.kind == "unfinished" else str(self.manifest.get("recipe", "unknown"))

    @property
    def parents(self) -> tuple[str, ...]:
        """The hashes of what it was made from."""
        found = self.manifest.get("parents", ())
        return tuple(map(str, found)) if isinstance(found, list | tuple) else ()

    @property
    def seconds(self) -> float | None:
        """How long it took to make, where that is known."""
        found = self.manifest.get("seconds")
        return float(found) if isinstance(found, int | float) else None


@dataclass(frozen=True, slots=True)
class IntegrityCheck:
    """What a check found: what is wrong, file by file, and why there was nothing to check, if so."""

    entry: CacheEntry
    broken: tuple[str, ...] = ()
    uncheckable: str | None = None


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """What shall go: all that any of these names.

    `older_than` is in seconds since the last use; `keep_under` in bytes of all that stays, for which the
    artifacts and encodings that were used longest ago make room.
    """

    older_than: float | None = None
    keep_under: int | None = None
    unfinished: bool = False
    everything: bool = False


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What was removed, what was to go but is in use, and the bytes of what is there now."""

    removed: tuple[CacheEntry, ...]
    in_use: tuple[CacheEntry, ...]
    left_bytes: int


def cache_entries(cache: ArtifactCache) -> list[CacheEntry]:
    """Return all that lies in the cache: artifacts and encodings by last use, then what is unfinished."""
    found = [entry for folder in _folders(cache.root) if (entry := _entry(folder))]
    return sorted(found, key=lambda entry: (entry.kind == "unfinished", -entry.used, entry.key))


def data_bytes(cache: ArtifactCache) -> int:
    """Return the bytes of the data that are written out below the cache, which is no part of its entries."""
    return folder_bytes(cache.root / "data")


def check_entry(entry: CacheEntry) -> IntegrityCheck | None:
    """Compare an artifact's files with what was written down of them; None if it went away meanwhile."""
    if entry.kind == "unfinished" and not (entry.folder / SEAL).exists():
        return IntegrityCheck(entry, uncheckable="it is unfinished")
    try:
        with in_use([entry.folder]):
            return _checked(entry)
    except StoreError:
        return None


def prune(cache: ArtifactCache, wish: PruneRequest, now: float, *, dry_run: bool = False) -> PruneResult:
    """Remove what is wished, least recently used first, unless it is in use; `dry_run` only says so."""
    if not dry_run:
        _sweep_up(cache)
    there = cache_entries(cache)
    left = sum(entry.size_bytes for entry in there)
    removed: list[CacheEntry] = []
    busy: list[CacheEntry] = []
    for entry in sorted(there, key=lambda entry: (not _named(entry, wish, now), entry.used)):
        crowded = wish.keep_under is not None and left > wish.keep_under and entry.kind != "unfinished"
        if not crowded and not _named(entry, wish, now):
            continue
        if cache.remove(entry.folder, dry_run=dry_run):
            removed.append(entry)
            left -= entry.size_bytes
        elif entry.folder.exists():
            busy.append(entry)
        else:  # somebody else removed it
            left -= entry.size_bytes
    return PruneResult(tuple(removed), tuple(busy), left)


def _named(entry: CacheEntry, wish: PruneRequest, now: float) -> bool:
    old = wish.older_than is not None and now - entry.used > wish.older_than
    return wish.everything or old or (wish.unfinished and entry.kind == "unfinished")


def _folders(root: Path) -> Iterator[Path]:
    for room in ("artifacts", "working"):
        with suppress(OSError):
            there = sorted((root / room).iterdir())
            yield from (path for path in there if not path.name.startswith(REMOVING))


def _entry(folder: Path) -> CacheEntry | None:
    """Return what a folder is; None for a file, or for what went away meanwhile."""
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
    kind: Kind = "encoding" if manifest.get("recipe") == ENCODED else "artifact"
    return CacheEntry(kind, folder.name, folder, manifest, folder_bytes(folder), made, used)


def _span(folder: Path) -> tuple[float, float]:
    """Return when the oldest and the newest of a folder and what is in it were written."""
    times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
    return min(times), max(times)


def _checked(entry: CacheEntry) -> IntegrityCheck:
    try:
        sealed = json.loads((entry.folder / SEAL).read_text(encoding="utf-8"))
        wrong = [_wrong(entry.folder, name, facts) for name, facts in sealed.items()]
    except FileNotFoundError:
        return IntegrityCheck(entry, uncheckable=f"it has no {SEAL}: an older version made it")
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return IntegrityCheck(entry, broken=(f"{SEAL} cannot be read",))
    return IntegrityCheck(entry, broken=tuple(each for each in wrong if each))


def _wrong(folder: Path, name: str, facts: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a file, the cheap question first."""
    path = folder / name
    try:
        size = path.stat().st_size
        if size != facts["bytes"]:
            return f"{name} has {size:,} bytes instead of {facts['bytes']:,}"
        return None if file_sha256(path) == facts["sha256"] else f"{name} has another content"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as problem:
        return f"{name} cannot be read ({problem.strerror})"


def _sweep_up(cache: ArtifactCache) -> None:
    """Remove what was renamed away by somebody who was killed before it was gone."""
    for room in ("artifacts", "working"):
        for path in (cache.root / room).glob(f"{REMOVING}*"):
            shutil.rmtree(path, ignore_errors=True)
