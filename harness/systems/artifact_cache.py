"""The cache of artifacts and encodings: each in a folder named by its key, complete or absent.

A folder is filled under another name and renamed when it is complete, so that an interrupted preparation, a
full disk or two concurrent runs leave nothing that looks complete. It is removed in the reverse order: first
renamed, then deleted. A process that fills or uses a folder holds a lock on it, which the kernel releases
with the process, so that no other process removes it meanwhile (`harness/systems/cache_maintenance.py`).

    ROOT/artifacts/KEY/          manifest.json, files.json (sizes and hashes of the files), and the files
    ROOT/artifacts/.writing-*/   being filled
    ROOT/working/KEY/            work that resumes after an interruption

The locks are on folders, and shared among readers, which libraries for lock files do not offer.
"""

import errno
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

from harness.common.errors import StoreError, as_bad_input
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact

MANIFEST = "manifest.json"

SEAL = "files.json"
"""Size and sha256 of every other file of an artifact, written when it is complete."""

WRITING, REMOVING = ".writing-", ".removing-"
"""Prefixes of folders that are not entries: those being filled, and those being removed."""

LEAST_FREE_BYTES = 2**26
"""The free space that an empty cache must have: room for the embedded model, its data and an artifact."""


def default_cache() -> Path:
    """Return the folder in `BENCH_CACHE`, or else the user's cache folder for this program."""
    import platformdirs

    return Path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_dir("fastformers-bench"))


@dataclass(frozen=True, slots=True)
class ArtifactCache:
    """The cache of artifacts below `root`."""

    root: Path

    def find(self, key: str) -> Artifact | None:
        """Return the complete artifact under this key, or None; an unreadable manifest counts as absent.

        Sets the folder's modification time to now: it is the time of the last use.
        """
        artifact = self._read(key)
        if artifact:
            with suppress(OSError):  # a cache of another user may be read-only
                os.utime(artifact.folder)
        return artifact

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Yield an empty folder to fill; it appears under the key only if the block ends without an error."""
        target = self._folder(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._exclusive():  # before it is locked, the folder looks like one of a killed process
                _remove_abandoned(target.parent)
                scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=WRITING))
                handle = _lock(scratch, fcntl.LOCK_EX)
        except OSError as error:
            raise _cannot_write(target.parent, error) from None
        try:
            yield scratch
            self._publish(scratch, target)
        except OSError as error:
            raise _cannot_write(target.parent, error) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            _release(handle)

    @contextmanager
    def working(self, key: str) -> Iterator[Path]:
        """Yield a folder that survives an interruption; it is removed if the block ends without an error.

        One process at a time has it; others wait.
        """
        folder = self.root / "working" / key
        handle = None
        try:
            while handle is None:  # the last holder of the lock may have removed the folder
                folder.mkdir(parents=True, exist_ok=True)
                handle = _lock(folder, fcntl.LOCK_EX)
        except OSError as error:
            raise _cannot_write(folder, error) from None
        try:
            yield folder
            _discard(folder)
        finally:
            _release(handle)

    def check_usable(self) -> None:
        """Raise UsageError if nothing can be written here and nothing lies here that could be read.

        A cache that is full or read-only is of use only where it has the artifacts already.
        """
        probe = self.root / f".writable-{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if any((self.root / "artifacts").glob("[!.]*")):
                return
            probe.write_bytes(b"x")
            free_bytes = shutil.disk_usage(self.root).free
        except OSError as error:
            raise as_bad_input(_cannot_write(self.root, error)) from None
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        if free_bytes < LEAST_FREE_BYTES:
            no_space = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise as_bad_input(_cannot_write(self.root, no_space))

    def artifacts(self) -> list[Artifact]:
        """Return every complete artifact, sorted by key."""
        folders = sorted((self.root / "artifacts").glob("*"))
        artifacts = (self._read(folder.name) for folder in folders if not folder.name.startswith("."))
        return [artifact for artifact in artifacts if artifact]

    def remove(self, folder: Path, *, dry_run: bool = False) -> bool:
        """Remove a folder of the cache unless a process has locked it; return whether it was removable.

        It disappears under its name before its first file is deleted. With `dry_run` nothing is removed.
        """
        try:
            with self._exclusive():
                handle = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if handle is None:
                    return False
                trash = folder if dry_run else _set_aside(folder)
        except OSError as error:
            raise _cannot_write(folder, error) from None
        if not dry_run:
            shutil.rmtree(trash, ignore_errors=True)
        _release(handle)
        return True

    def _publish(self, scratch: Path, target: Path) -> None:
        """Rename a complete folder to its key; if another process was first, keep that one's."""
        seal(scratch)
        scratch.chmod(0o755)
        with self._exclusive():
            if read_manifest(target) is None:
                _discard(target)  # an older crash may have left it
                scratch.rename(target)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Let one process at a time add or remove folders; held for renames only, never during work."""
        with (self.root / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self, key: str) -> Artifact | None:
        folder = self._folder(key)
        manifest = read_manifest(folder)
        return None if manifest is None else Artifact(folder, key, manifest)

    def _folder(self, key: str) -> Path:
        return self.root / "artifacts" / key


@contextmanager
def in_use(folders: Iterable[Path]) -> Iterator[None]:
    """Keep these folders from being removed while the block runs; StoreError if one is absent already."""
    with ExitStack() as locks:
        for folder in folders:
            handle = _lock(folder, fcntl.LOCK_SH)
            if handle is None:
                raise StoreError(
                    "this artifact was removed from the cache by another process.",
                    where=folder.name[:12],
                    remedy="Run the command again: it will be prepared again.",
                )
            locks.callback(os.close, handle)
        yield


def seal(folder: Path) -> None:
    """Write `files.json`: the size and sha256 of every file in the folder, by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SEAL)
    seals = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in paths
    }
    (folder / SEAL).write_text(json.dumps(seals, indent=1) + "\n", encoding="utf-8")


def file_sha256(path: Path) -> str:
    """Return the sha256 of one file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_bytes(folder: Path) -> int:
    """Return the total size of all files below a folder; a file that disappears meanwhile counts as 0."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders that killed processes were filling: nobody holds their locks."""
    for folder in parent.glob(f"{WRITING}*"):
        handle = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def _lock(folder: Path, operation: int) -> int | None:
    """Lock a folder and return a handle, which unlocks it when closed.

    None if the folder is absent or, with LOCK_NB, if another process has locked it.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, operation)
        # another process may have removed the folder, and made it again, before this lock was granted
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
    """Remove a folder if that is possible, so that no part of it is ever visible under its name."""
    with suppress(OSError):
        shutil.rmtree(_set_aside(folder), ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Rename a folder to a name with the prefix `REMOVING`; FileNotFoundError if it is absent."""
    trash = Path(tempfile.mkdtemp(dir=folder.parent, prefix=REMOVING))
    try:
        return folder.rename(trash)
    except OSError:
        trash.rmdir()
        raise


def read_manifest(folder: Path) -> JsonObject | None:
    """Return an artifact's manifest; None if it cannot be read, and then the artifact counts as absent."""
    from harness.common.inputs.files import CHECKPOINT_JSON, InvalidText, read_input
    from harness.common.inputs.json_text import parse_json_object

    try:
        return parse_json_object(read_input(folder / MANIFEST, CHECKPOINT_JSON, StoreError), lenient=True)
    except (StoreError, InvalidText):
        return None


def _cannot_write(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the cache cannot be written: {error.strerror or error}.",
        where=str(folder),
        remedy="Set BENCH_CACHE to a writable folder with free space.",
    )
