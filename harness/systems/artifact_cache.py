"""The cache: artifacts and encodings, each in a folder named by its key, complete or not there at all.

A folder is filled under another name and renamed when it is done, so that an interrupted preparation, a full
disk or two runs at once leave nothing that looks complete. It is removed in the reverse order: renamed away
first. Whoever fills or uses a folder holds a lock on it, which the kernel releases with the process, so that
nobody else removes it meanwhile (`harness/systems/cache_maintenance.py`).

    ROOT/artifacts/KEY/          manifest.json, files.json (what is in the others), and the files
    ROOT/artifacts/.writing-*/   being filled
    ROOT/working/KEY/            work that goes on after an interruption
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import StoreError
from harness.systems.interface import Artifact

MANIFEST = "manifest.json"

SEAL = "files.json"
"""Size and sha256 of every other file of an artifact, written when it is complete."""

WRITING, REMOVING = ".writing-", ".removing-"
"""What names begin with that stand for no key: folders being filled, and folders that are gone."""


def default_cache() -> Path:
    """Return `BENCH_CACHE`, or the user's cache folder for this program."""
    import platformdirs

    return Path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_dir("fastformers-bench"))


@dataclass(frozen=True, slots=True)
class ArtifactCache:
    """The cache of artifacts below `root`."""

    root: Path

    def find(self, key: str) -> Artifact | None:
        """Return the complete artifact under this key, or None; an unreadable manifest counts as absent.

        The folder's time of change becomes now: it says when an artifact was last used.
        """
        found = self._look(key)
        if found:
            with suppress(OSError):  # a cache that others filled may be read-only
                os.utime(found.folder)
        return found

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Give an empty folder to fill; it appears under the key only if the block ends without error."""
        target = self._folder(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._changing():  # nobody may take the folder for a dead one before it is locked
                scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=WRITING))
                handle = _lock(scratch, fcntl.LOCK_EX)
        except OSError as problem:
            raise _cannot_write(target.parent, problem) from None
        try:
            yield scratch
            self._publish(scratch, target)
        except OSError as problem:
            raise _cannot_write(target.parent, problem) from problem
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            _release(handle)

    @contextmanager
    def working(self, key: str) -> Iterator[Path]:
        """Give a folder that outlives an interruption; it is removed only if the block ends without error.

        One process has it at a time, others wait.
        """
        folder = self.root / "working" / key
        handle = None
        try:
            while handle is None:  # whoever had the lock before may have removed the folder
                folder.mkdir(parents=True, exist_ok=True)
                handle = _lock(folder, fcntl.LOCK_EX)
        except OSError as problem:
            raise _cannot_write(folder, problem) from None
        try:
            yield folder
            _discard(folder)
        finally:
            _release(handle)

    def artifacts(self) -> list[Artifact]:
        """Return every complete artifact, by key."""
        folders = sorted((self.root / "artifacts").glob("*"))
        found = (self._look(folder.name) for folder in folders if not folder.name.startswith("."))
        return [artifact for artifact in found if artifact]

    def remove(self, folder: Path, *, dry_run: bool = False) -> bool:
        """Remove a folder of the cache and return whether it was free to go: not if a process has locked it.

        It is absent under its name before its first file is gone.
        """
        try:
            with self._changing():
                handle = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if handle is None:
                    return False
                trash = folder if dry_run else _set_aside(folder)
        except OSError as problem:
            raise _cannot_write(folder, problem) from None
        if not dry_run:
            shutil.rmtree(trash, ignore_errors=True)
        _release(handle)
        return True

    def _publish(self, scratch: Path, target: Path) -> None:
        """Rename a finished folder; keep the other one if another process was first."""
        seal(scratch)
        scratch.chmod(0o755)
        with self._changing():
            if read_manifest(target) is None:
                _discard(target)  # what an old crash may have left
                scratch.rename(target)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let one process at a time change what there is; held for renames, never for work."""
        with (self.root / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _look(self, key: str) -> Artifact | None:
        folder = self._folder(key)
        manifest = read_manifest(folder)
        return None if manifest is None else Artifact(folder, key, manifest)

    def _folder(self, key: str) -> Path:
        return self.root / "artifacts" / key


@contextmanager
def in_use(folders: Iterable[Path]) -> Iterator[None]:
    """Keep these folders from being removed while the block runs; StoreError if one is gone already."""
    with ExitStack() as held:
        for folder in folders:
            handle = _lock(folder, fcntl.LOCK_SH)
            if handle is None:
                raise StoreError(
                    "it was removed from the cache a moment ago.",
                    where=folder.name[:12],
                    remedy="Run the command again: it will be made anew.",
                )
            held.callback(os.close, handle)
        yield


def seal(folder: Path) -> None:
    """Write `files.json`: size and sha256 of every file in the folder by its name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SEAL)
    facts = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in paths
    }
    (folder / SEAL).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def file_sha256(path: Path) -> str:
    """Return the sha256 of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder; a file that goes away meanwhile counts for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


def _lock(folder: Path, how: int) -> int | None:
    """Lock a folder and return what releases it; None if it is gone or, with LOCK_NB, if others hold it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, how)
        # it may have been removed, and made again, before the lock was ours
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _release(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _discard(folder: Path) -> None:
    """Remove a folder, if it is there and can be, so that no part of it is ever seen under its name."""
    with suppress(OSError):
        shutil.rmtree(_set_aside(folder), ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Rename a folder to where nobody looks for it; FileNotFoundError if there is none."""
    trash = Path(tempfile.mkdtemp(dir=folder.parent, prefix=REMOVING))
    try:
        return folder.rename(trash)
    except OSError:
        trash.rmdir()
        raise


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return an artifact's manifest; None if there is none that can be read, so that it counts as absent."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _cannot_write(folder: Path, problem: OSError) -> StoreError:
    return StoreError(
        f"the cache cannot be written: {problem.strerror or problem}.",
        where=str(folder),
        remedy="Set BENCH_CACHE to a folder with free space that you may write.",
    )
