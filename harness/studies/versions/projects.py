"""A user's own project at the gate: the installed program measures the project's model in two revisions.

    REF --check_out--> folder --run_setup--> folder / --model: a REF of kind `model`

A project holds a model, or a program that makes one (`--setup`), and not the code of this program. Task, data
and options are those of the working folder on both sides, so that both answer the same requests.
"""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import MeasurementError, UsageError, last_lines
from harness.measurement.machine.git_revision import run_git
from harness.studies.versions.refs import Ref, check_clean, check_out

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""What a file of Git LFS begins with where its content was not fetched (its specification, version 1)."""

SETUP_PATIENCE_S = 6 * 3600.0
"""Seconds that a program which makes a model may take: six hours, as a job of GitHub may."""

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Project:
    """The model that is compared: its path as `--model` has it, and the command that makes it, if one does.

    `folder` is the working folder, below the top of a repository or outside of one.
    """

    model: str
    setup: str
    folder: Path

    @property
    def arguments(self) -> list[str]:
        """The words of the setup command; UsageError where a quote is missing."""
        try:
            return shlex.split(self.setup)
        except ValueError as problem:
            raise UsageError(f"cannot be split: {problem}.", where="--setup") from None

    @property
    def prefix(self) -> str:
        """The working folder relative to the top of its repository; empty at the top or outside of one."""
        return run_git(["rev-parse", "--show-prefix"], self.folder) or ""

    @property
    def model_path(self) -> str:
        """The model relative to the working folder; UsageError for one outside of the project."""
        folder = self.folder.resolve()
        model = os.path.relpath(Path(self.folder, self.model).resolve(), folder)
        if os.path.normpath(Path(self.prefix, model)).startswith(".."):
            raise UsageError(
                f"{self.model} is outside of the project, so it is the same in all its revisions.",
                where="--model",
                remedy=_MODEL_REMEDY,
            )
        return model


_MODEL_REMEDY = (
    "Name a checkpoint folder of the project with --model DIR, or one that --setup COMMAND makes; "
    "or give two folders: --base DIR --head DIR."
)


def find_model(ref: Ref, project: Project, cache: Path, notify: Notify) -> Ref:
    """Return the model that a side of a project holds, as a REF; a revision is checked out below the cache.

    UsageError where it has none, MeasurementError where the setup command fails.
    """
    model, arguments = project.model_path, project.arguments
    if ref.commit:
        folder = _revision_folder(ref, project, cache, notify)
    else:
        folder = ref.path or project.folder
        if arguments:
            run_setup(arguments, folder, ref.name, notify)
    path = folder / model
    if not path.is_dir():
        raise UsageError(
            f"there is no folder {project.model} in it. It does not hold the code of bench, so its model is "
            "what is compared.",
            where=ref.name,
            remedy=_MODEL_REMEDY,
        )
    if pointer := _lfs_pointer(path):
        if ref.commit:  # the next attempt needs another checkout
            shutil.rmtree(_place(ref, project, cache), ignore_errors=True)
        raise UsageError(
            f"{pointer} is a pointer of Git LFS: its content was not fetched.",
            where=ref.name,
            remedy="Fetch it: `git lfs install --local && git lfs fetch --all && git lfs checkout`.",
        )
    return Ref(ref.name, "model", path.resolve(), ref.commit)


def check_head(ref: Ref, project: Project) -> None:
    """Raise UsageError if the head is the current commit and the model has uncommitted changes."""
    paths = () if project.setup else (project.model_path,)
    check_clean(ref, project.folder, *paths)


def _revision_folder(ref: Ref, project: Project, cache: Path, notify: Notify) -> Path:
    """Return the working folder in a checkout of a revision, in which the setup command has run once."""
    arguments, place = project.arguments, _place(ref, project, cache)
    complete = place / "complete"
    if arguments and not complete.exists():  # what an interrupted command left is no checkout
        shutil.rmtree(place, ignore_errors=True)
    folder = check_out(ref, place, notify) / project.prefix
    if arguments and not complete.exists():
        run_setup(arguments, folder, ref.name, notify)
        complete.touch()
    return folder


def _place(ref: Ref, project: Project, cache: Path) -> Path:
    """Return where a revision is checked out: apart from a checkout that another command has changed."""
    mark = f"-{hashlib.sha256(project.setup.encode()).hexdigest()[:8]}" if project.setup else ""
    return cache / "refs" / f"{ref.commit[:12]}{mark}"


def run_setup(arguments: Sequence[str], folder: Path, ref: str, notify: Notify) -> None:
    """Run the command that makes a model, in a session of its own; MeasurementError if it fails."""
    notify(f"setting up {ref}: {shlex.join(arguments)}")
    with tempfile.TemporaryFile("w+b") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 -- the user named it, and no shell reads it
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise MeasurementError(f"--setup cannot be started: {error.strerror}.", where=ref) from None
        try:
            code = process.wait(SETUP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"--setup took over {SETUP_PATIENCE_S:g} s.", where=ref) from None
        finally:  # an interruption, too, ends whatever it started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code:
            lines = " | ".join(last_lines(log))
            remedy = "Run the command in a clean checkout of that revision."
            raise MeasurementError(f"--setup ended with exit code {code}: {lines}", where=ref, remedy=remedy)


def _lfs_pointer(model: Path) -> str:
    """Return the name of a file of the model that is a pointer of Git LFS; empty where there is none."""
    files = (path for path in sorted(model.iterdir()) if path.is_file())
    return next((path.name for path in files if _begins_with(path, LFS_POINTER)), "")


def _begins_with(path: Path, content: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(content)) == content
