"""What runs on a host: one point of a sweep as a whole `bench run`, in a process and a store of its own.

    no run in the store of the point --> bench run ARGUMENTS, or bench ladder, or bench search
    a run that is not finished       --> bench run --resume
    a sealed run                     --> nothing: its files are returned
    a search that has begun          --> bench search ARGUMENTS --resume latest

So a point can be requested again after any fault: what its journal holds is not measured again. A search has
two runs, and the second depends on the first: so it goes on with its own command, also where all are sealed.
"""

import hashlib
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import ExitCode, last_lines
from harness.common.processes.guarded import GuardedProcess
from harness.records.store import RunFolder, Store

PROGRAM = (
    "import os, sys; os.chdir(sys.argv.pop(1)); os.dup2(int(sys.argv.pop(1)), 1); "
    "from harness.cli import main; main()"
)
"""`bench` in the folder that the first argument names; the second one is a descriptor for its stdout."""

MOST_STARTS = 3
"""How often a `bench run` that a signal ended is continued."""

BY_SIGNAL = (-signal.SIGKILL, -signal.SIGTERM, int(ExitCode.TERMINATED))
"""How a `bench` ends that somebody else has ended: it is started again."""

SEARCH = "search"

_WAIT_S = 3600.0
_NO_MESSAGES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One command of `bench`: its name within the job, arguments without a store, and where it is started.

    `environment` holds the variables of bench that the user has set (`BENCH_...`).
    """

    job: str
    name: str
    arguments: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    command: str = "run"


@dataclass(frozen=True, slots=True)
class PointResult:
    """How a point ended: exit code, files of its sealed runs, runs that are not finished, last messages."""

    exit_code: int
    runs: Mapping[str, Mapping[str, bytes]]
    unfinished: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


def run_point(point: Point, host: str, environment: Mapping[str, str], cache: Path) -> PointResult:
    """Run or continue a point, and return its sealed files; `environment` is that of a user of the host.

    `host` distinguishes hosts that share a cache.
    """
    store = Store(folder_of(cache, point.job, host) / point.name)
    store.root.mkdir(parents=True, exist_ok=True)
    if not Path(point.folder).is_dir():
        return PointResult(int(ExitCode.BAD_INPUT), {}, (), (f"the folder {point.folder} is not there",))
    code, messages, starts = int(ExitCode.DONE), _NO_MESSAGES, 0
    while starts < MOST_STARTS and not _is_done(point, store) and (point.arguments or store.runs()):
        starts += 1
        ended = bench(arguments_of(point, store), point, environment)
        code, messages = ended.exit_code, ended.messages
        if code not in BY_SIGNAL:
            break
    folders = store.runs()
    sealed = {folder.name: _files(folder) for folder in folders if not folder.unfinished}
    return PointResult(code, sealed, tuple(folder.name for folder in folders if folder.unfinished), messages)


def folder_of(cache: Path, job: str, host: str) -> Path:
    """Return where a host keeps the points of a job."""
    return cache / "cluster" / job / re.sub(r"[^A-Za-z0-9.-]", "_", host)


def jobs_of(cache: Path, host: str) -> dict[str, list[str]]:
    """Return the points that this host has begun and not handed over, by job."""
    jobs = [path.name for path in sorted((cache / "cluster").glob("*"))]
    points = {job: sorted(path.name for path in folder_of(cache, job, host).glob("*")) for job in jobs}
    return {job: names for job, names in points.items() if names}


def forget_point(job: str, name: str, cache: Path, host: str) -> None:
    """Remove the store of a point whose runs lie in the user's store."""
    folder = folder_of(cache, job, host)
    shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):  # other points or hosts are there
        folder.rmdir()
        folder.parent.rmdir()


def _is_done(point: Point, store: Store) -> bool:
    """Return whether all runs are sealed; of a search, its own command alone knows which there are."""
    folders = store.runs()
    return point.command != SEARCH and bool(folders) and not any(folder.unfinished for folder in folders)


def arguments_of(point: Point, store: Store) -> list[str]:
    """Return the command that begins a point, or goes on with what its store holds."""
    arguments = [point.command, *point.arguments]
    if store.runs():
        is_search = point.command == SEARCH
        arguments = [*arguments, "--resume", "latest"] if is_search else ["run", "--resume", "all"]
    return [*arguments, "--store", str(store.root), "--busy", "wait"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a `bench` ended: its exit code, its last messages, and what it printed on stdout."""

    exit_code: int
    messages: tuple[str, ...]
    output: bytes


def bench(arguments: Sequence[str], point: Point, environment: Mapping[str, str]) -> Ended:
    """Run `bench` below a guard, so that it ends with this process."""
    with tempfile.TemporaryFile() as log, tempfile.TemporaryFile() as output:
        handle = output.fileno()
        command = [sys.executable, "-P", "-c", PROGRAM, point.folder, str(handle), *arguments]
        variables = {**environment, **point.environment}
        process = GuardedProcess(command, variables, log=log, descriptors=[handle])
        try:
            while (code := process.wait(_WAIT_S)) is None:
                continue
        finally:
            process.end()
        output.seek(0)
        return Ended(code, tuple(last_lines(log)), output.read())


def _files(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}


def digest_of(path: str) -> str | None:
    """Return the sha256 of a file, or of all files in a folder with their names; None if it is not there."""
    root = Path(path)
    if root.is_file():
        return _sha256(root)
    if not root.is_dir():
        return None
    files = sorted(file for file in root.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(root)} {_sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
