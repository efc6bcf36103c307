"""REFs of the gate: what a REF names, and how workers run its code.

here                     the running program, or the working folder of a user's own project
a git revision           checked out below the cache; run by the current interpreter with that code first on
                         its module path, or in an environment of its own if its dependencies differ
a folder with code       a checkout, including uncommitted changes
an interpreter           /path/to/python, with the package installed in its environment
a folder with a model    a checkpoint: the same code on both sides, another model
a project                a revision or a folder that does not hold this program: the installed program
                         measures the model in it (`harness.studies.versions.projects`)
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.common.errors import MeasurementError, StoreError, UsageError
from harness.common.json_types import JsonObject
from harness.measurement.machine.git_revision import revision_of, run_git
from harness.records.record import Revision
from harness.runs.worker.other_version import OLDER_WORKER
from harness.runs.worker.process import WORKER

HERE = "here"
Kind = Literal["here", "revision", "code", "interpreter", "model", "project"]
Environment = Literal["auto", "same", "own"]

OUR_FILES = tuple(f"{module.replace('.', '/')}.py" for module in (WORKER, OLDER_WORKER))
"""A folder with one of these files, or with one below `src`, holds the code of this program."""

BUILD_PATIENCE_S = 3600.0
"""Seconds that the installation of a revision with its dependencies may take."""


@dataclass(frozen=True, slots=True)
class Ref:
    """What a REF names: its name for records, its kind, and a path or a commit.

    The path of a revision is the working folder. A model that was found in a revision has both.
    """

    name: str
    kind: Kind
    path: Path | None = None
    commit: str = ""

    @property
    def revision(self) -> Revision | None:
        """The commit as records hold it; None without one."""
        return Revision(commit=self.commit[:12], dirty=False) if self.commit else None


@dataclass(frozen=True, slots=True)
class SideCode:
    """How the code of a REF is run: its interpreter (empty: the current one), and a folder for its path."""

    python: str = ""
    source: str = ""
    revision: Revision | None = None


def find_ref(text: str, folder: Path) -> Ref:
    """Return what a REF names, relative to the working folder; UsageError if it names nothing."""
    if text == HERE:
        return Ref(HERE, "here")
    if not text.strip() or text.startswith("-"):  # not a path, and git would read it as an option
        raise _unknown_ref(text)
    path = Path(text).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_dir() and (path / "config.json").exists():
        return Ref(path.name, "model", path.resolve())
    if path.is_dir() and (path / "pyproject.toml").exists() and holds_code(path):
        return Ref(path.resolve().name, "code", path.resolve())
    if path.is_file() and os.access(path, os.X_OK):
        # not resolved: an interpreter finds its environment by the path that it is started by
        return Ref(path.name, "interpreter", path.absolute())
    commit = run_git(["rev-parse", "--verify", f"{text}^{{commit}}"], folder)
    if commit:
        return Ref(text, "revision" if _revision_holds_code(commit, folder) else "project", folder, commit)
    if path.is_dir():
        return Ref(path.resolve().name, "project", path.resolve())
    raise _unknown_revision(text, folder)


def holds_code(folder: Path) -> bool:
    """Return whether a folder holds the code of this program, of whatever version."""
    return any((folder / root / file).is_file() for root in ("", "src") for file in OUR_FILES)


def _revision_holds_code(commit: str, folder: Path) -> bool:
    paths = [f"{root}{file}" for root in ("", "src/") for file in OUR_FILES]
    return bool(run_git(["ls-tree", "--full-tree", "--name-only", commit, *paths], folder))


def check_clean(ref: Ref, folder: Path, *paths: str) -> None:
    """Raise UsageError if `ref` is the commit of the working folder, and tracked files have changed since.

    Only changes below `paths` count where there are any.
    """
    if not ref.commit or ref.commit != run_git(["rev-parse", "HEAD"], folder):
        return
    names = ["diff", "--name-only", "HEAD", "--", *(paths or (":/",))]
    changed = (run_git(names, folder) or "").splitlines()
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""  # noqa: PLR2004
        raise UsageError(
            f"the working folder has changes that {ref.name} lacks: {', '.join(changed[:3])}{more}.",
            where="--head",
            remedy="Commit them, or leave out --head: the working folder is then compared as it is.",
        )


def _unknown_revision(text: str, folder: Path) -> UsageError:
    """Return the error for a name that git does not resolve, with the most frequent reasons for that."""
    is_shallow = run_git(["rev-parse", "--is-shallow-repository"], folder)
    error = _unknown_ref(text)
    if is_shallow is None:
        return UsageError(
            f"{error.message[:-1]}, and git finds no repository here.",
            where=error.where,
            remedy="Run it in a clone. Where another user owns the clone, as in a container: "
            "`git config --global --add safe.directory DIR`.",
        )
    if is_shallow == "true":
        return UsageError(
            f"{error.message[:-1]}, and this clone is shallow: it lacks most revisions.",
            where=error.where,
            remedy="Fetch the history: `git fetch --unshallow`. In CI, check out with fetch-depth: 0 "
            "(GitHub) or GIT_DEPTH: 0 (GitLab).",
        )
    return error


def _unknown_ref(text: str) -> UsageError:
    return UsageError(
        f"expected a git revision of this folder, a folder with code or a model, or an interpreter, "
        f"got {text!r}.",
        where="REF",
        remedy="Name HEAD~1, a branch, a folder, /path/to/python, or `here` for the running program.",
    )


def run_installer(arguments: Sequence[str], ref: str) -> None:
    """Run one command that builds an environment; MeasurementError with its last lines if it fails."""
    try:
        completed = subprocess.run(  # noqa: S603 -- the current interpreter and its installer
            arguments,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BUILD_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeasurementError(f"its environment cannot be built: {error}", where=ref) from None
    if completed.returncode:
        last_lines = " | ".join((completed.stderr or completed.stdout).strip().splitlines()[-3:])
        raise MeasurementError(
            f"its environment cannot be built: {last_lines}",
            where=ref,
            remedy="Build one yourself and name its interpreter, or use the current one: --environment same.",
        )


def code_of(
    ref: Ref,
    cache: Path,
    notify: Callable[[str], None],
    environment: Environment = "auto",
    install: Callable[[Sequence[str], str], None] = run_installer,
) -> SideCode:
    """Return how the code of a REF is run; a revision is checked out, and installed where necessary.

    `notify` receives a message before each step that takes long.
    """
    if ref.kind == "interpreter":
        return SideCode(python=str(ref.path))
    if ref.kind == "code" and ref.path:
        place, revision = cache / "refs" / ref.path.name, revision_of(ref.path)
        return _build(ref.path, revision, place, notify, environment, install)
    if ref.kind == "revision" and ref.path:
        place = cache / "refs" / ref.commit[:12]
        source = check_out(ref, place, notify)
        return _build(source, ref.revision, place, notify, environment, install)
    return SideCode()


def same_dependencies(source: Path) -> bool:
    """Return whether a checkout declares the dependencies of the installed distribution with its name."""
    project = _project(source)
    try:
        installed = importlib.metadata.requires(str(project.get("name", ""))) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    current = {_normalised(requirement) for requirement in installed if "extra ==" not in requirement}
    return current == {_normalised(requirement) for requirement in project.get("dependencies", [])}


def check_out(ref: Ref, place: Path, notify: Callable[[str], None]) -> Path:
    """Write the files of a revision below the cache, all or none; they are kept for later runs."""
    source = place / "source"
    if source.exists():
        return source
    notify(f"checking out {ref.name} ({ref.commit[:12]})")
    try:
        place.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=place, prefix=".writing-"))
    except OSError as error:
        raise StoreError(f"the cache cannot be written: {error.strerror}.", where=str(place)) from None
    try:
        _unpack(ref, temporary)
        temporary.rename(source)
    except OSError:
        if not source.exists():  # unless another process was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return source


def _unpack(ref: Ref, folder: Path) -> None:
    command = ["git", "archive", "--format=tar", ref.commit]
    top = run_git(["rev-parse", "--show-toplevel"], ref.path or folder)
    with subprocess.Popen(command, cwd=top, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as git:  # noqa: S603
        with tarfile.open(fileobj=git.stdout, mode="r|") as archive:
            archive.extractall(folder, filter="data")
        message = git.stderr.read().decode("utf-8", "replace").strip() if git.stderr else ""
    if git.returncode:
        raise MeasurementError(f"git cannot archive it: {message}", where=ref.name)


def _build(
    source: Path,
    revision: Revision | None,
    place: Path,
    notify: Callable[[str], None],
    environment: Environment,
    install: Callable[[Sequence[str], str], None],
) -> SideCode:
    """Return the current interpreter with this code, or an own environment if dependencies differ."""
    code = str(source / "src" if (source / "src").is_dir() else source)
    if environment == "same" or (environment == "auto" and same_dependencies(source)):
        return SideCode(source=code, revision=revision)
    own = place / "environment"
    python = own / "bin" / "python"
    if not (own / "complete").exists():
        notify(f"installing {place.name} and its dependencies in an environment of its own")
        shutil.rmtree(own, ignore_errors=True)
        install([sys.executable, "-m", "venv", str(own)], place.name)
        install([str(python), "-m", "pip", "install", "--quiet", str(source)], place.name)
        (own / "complete").touch()
    # a folder may have changed since it was installed: its code precedes the installed copy
    return SideCode(python=str(python), source=code, revision=revision)


def _project(source: Path) -> JsonObject:
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if isinstance(project, dict) else {}


def _normalised(requirement: str) -> str:
    """Return a normal form of a requirement: that of `a <3, >=2` equals that of `a>=2,<3`."""
    text, _, marker = requirement.partition(";")
    match = re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*(\[[^]]*\])?\s*\(?([^)]*)\)?\s*", text)
    if match is None:
        return requirement
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    limits = sorted(part.strip().replace(" ", "") for part in match[3].split(",") if part.strip())
    return f"{name}{match[2] or ''}{','.join(limits)};{marker.strip()}"
