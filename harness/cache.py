"""The cache: artifacts and encodings, each in a folder named by its key, complete or not there at all.

A folder is filled under another name and renamed when it is done, so that an interrupted preparation, a full
disk or two runs at once leave nothing that looks complete.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.system import Artifact

MANIFEST = "manifest.json"


def default_cache() -> Path:
    """Return `BENCH_CACHE`, or the user's cache folder for this program."""
    import platformdirs

    return Path(os.environ.get("BENCH_CACHE") or platformdirs.user_cache_dir("fastformers-bench"))


@dataclass(frozen=True, slots=True)
class FolderCache:
    """The cache of artifacts below `root`."""

    root: Path

    def find(self, key: str) -> Artifact | None:
        """Return the complete artifact under this key, or None; an unreadable manifest counts as absent."""
        folder = self._folder(key)
        manifest = _manifest(folder)
        return None if manifest is None else Artifact(folder, key, manifest)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Give an empty folder to fill; it appears under the key only if the block ends without error."""
        target = self._folder(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".writing-"))
        except OSError as problem:
            raise _cannot_write(target.parent, problem) from None
        try:
            yield scratch
            _publish(scratch, target)
        except OSError as problem:
            raise _cannot_write(target.parent, problem) from problem
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def artifacts(self) -> list[Artifact]:
        """Return every complete artifact, by key."""
        folders = sorted((self.root / "artifacts").glob("*"))
        found = (self.find(folder.name) for folder in folders if not folder.name.startswith("."))
        return [artifact for artifact in found if artifact]

    def _folder(self, key: str) -> Path:
        return self.root / "artifacts" / key


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _publish(scratch: Path, target: Path) -> None:
    """Rename a finished folder; keep the other one if another process was first."""
    if _manifest(target) is not None:
        return
    shutil.rmtree(target, ignore_errors=True)
    scratch.chmod(0o755)
    try:
        scratch.rename(target)
    except OSError:
        if _manifest(target) is None:
            raise


def _cannot_write(folder: Path, problem: OSError) -> StoreError:
    return StoreError(
        f"the cache cannot be written: {problem.strerror or problem}.",
        where=str(folder),
        remedy="Set BENCH_CACHE to a folder with free space that you may write.",
    )
