"""What runs on a host for a training: one `bench train` or `bench prepare`, whose result is sent as files.

bench train    --> the folder of a checkpoint
bench prepare  --> artifacts of the recipes of rungs; each host prepares what depends on its CPU itself
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.common.errors import ExitCode, StoreError
from harness.runs.cluster.point import (
    BY_SIGNAL,
    MOST_STARTS,
    Ended,
    Point,
    bench,
    digest_of,
    folder_of,
    forget_point,
)
from harness.systems.artifact_cache import SEAL, ArtifactCache

Files = Mapping[str, bytes]
"""The files of a folder by their paths in it."""

TRAIN, PREPARE = "train", "prepare"
MODEL = "model"
"""The name of the folder that `bench train` wrote."""

SCRATCH = "trainings"
"""The folder of the cache in which a host trains; what a run has begun lies elsewhere."""

_KEY = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left: its host, exit code, last messages, and folders by the keys of artifacts."""

    host: str
    exit_code: int
    messages: tuple[str, ...]
    folders: Mapping[str, Files]

    @property
    def text(self) -> str:
        """How it ended, in words."""
        if self.exit_code == 0:
            return f"is trained on {self.host}"
        last = self.messages[-1] if self.messages else ""
        return f"ended on {self.host or 'no host'} with exit {self.exit_code}: {last}"


def run_training(
    point: Point, host: str, environment: Mapping[str, str], cache: Path, expected: Mapping[str, str | None]
) -> Trained:
    """Train, and return the result; `expected` has the sha256 of files and folders that must be here."""
    for path, digest in expected.items():
        if digest_of(path) != digest:
            return _refused(host, f"{path} is not there, or differs from that of the command (sha256)")
    if not Path(point.folder).is_dir():
        return _refused(host, f"the folder {point.folder} is not there")
    scratch = folder_of(cache / SCRATCH, point.job, host) / point.name
    scratch.mkdir(parents=True, exist_ok=True)
    ended = _until_ended(point, environment, scratch)
    folders = _folders(point, ended, cache, scratch)
    result = Trained(
        host,
        ended.exit_code,
        ended.messages,
        {name: read_files(folder) for name, folder in folders.items()},
    )
    forget_point(point.job, point.name, cache / SCRATCH, host)
    return result


def write_files(folder: Path, files: Files) -> None:
    """Write files below a folder; StoreError for a path that leads out of it."""
    for name, payload in files.items():
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts:
            raise StoreError(f"a host sent a file named {name!r}.")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(payload)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder, without the seal of an artifact, which its cache writes itself."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / SEAL)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def add_artifact(key: str, files: Files, root: Path) -> None:
    """Put an artifact that another host made into the cache below `root`, unless it is there."""
    cache = ArtifactCache(root)
    if not _KEY.fullmatch(key):
        raise StoreError(f"a host sent an artifact with the key {key!r}.")
    if cache.find(key) is None:
        with cache.writing(key) as folder:
            write_files(folder, files)


def _until_ended(point: Point, environment: Mapping[str, str], scratch: Path) -> Ended:
    """Run the command; where a signal has ended it, again: it goes on from its last checkpoint."""
    output = ["--output", str(scratch / MODEL)] if point.command == TRAIN else ["--busy", "share"]
    for _ in range(MOST_STARTS):
        ended = bench([point.command, *point.arguments, "--json", "--quiet", *output], point, environment)
        if ended.exit_code not in BY_SIGNAL:
            break
    return ended


def _folders(point: Point, ended: Ended, cache: Path, scratch: Path) -> dict[str, Path]:
    if point.command == TRAIN:
        return {MODEL: scratch / MODEL} if ended.exit_code == ExitCode.DONE else {}
    if ended.exit_code not in (ExitCode.DONE, ExitCode.PARTIAL):
        return {}
    artifacts = (ArtifactCache(cache).find(key) for key in keys_of_recipes(ended.output))
    return {artifact.key: artifact.folder for artifact in artifacts if artifact}


def keys_of_recipes(output: bytes) -> Iterator[str]:
    """Yield the keys of the artifacts that recipes made, from the JSON that `bench prepare` prints."""
    for rung in json.loads(output):
        for step in rung.get("preparation", ()):
            if step["key"] != rung["key"]:  # that one is of the engine
                yield step["key"]


def _refused(host: str, message: str) -> Trained:
    return Trained(host, int(ExitCode.BAD_INPUT), (message,), {})
