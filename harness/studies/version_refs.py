"""What a REF of the gate names, and how it becomes code that workers can run.

here                     the program that is running
a git revision           checked out below the cache; the interpreter that is running, with that code before
                         all other, or an environment of its own where what it depends on differs
a folder with code       a checkout of your own, changed files and all
an interpreter           /path/to/python, in whose environment the package is installed
a folder with a model    a checkpoint: the same code on both sides, another model
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
from typing import Any, Literal

from harness.common.errors import MeasurementError, StoreError, UsageError
from harness.measurement.machine.git_revision import revision_of, run_git
from harness.records.record import Revision

HERE = "here"
Kind = Literal["here", "revision", "code", "interpreter", "model"]
Environment = Literal["auto", "same", "own"]

BUILD_PATIENCE_S = 3600.0
"""How long installing a revision with all it depends on may take."""


@dataclass(frozen=True, slots=True)
class Ref:
    """What a REF names: its words as a record may show them, its kind, and a path or a commit."""

    words: str
    kind: Kind
    path: Path | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True)
class SideCode:
    """How the code of a REF is run: its interpreter, empty for ours, and what leads its module path."""

    python: str = ""
    source: str = ""
    revision: Revision | None = None


def find_ref(words: str, folder: Path) -> Ref:
    """Return what a REF names, seen from the working folder; UsageError where it names nothing."""
    if words == HERE:
        return Ref(HERE, "here")
    if not words.strip() or words.startswith(
        "-"
    ):  # neither a path, nor anything for git to read as an option
        raise _nothing(words)
    path = Path(words).expanduser()
    path = path if path.is_absolute() else folder / path
    if path.is_dir() and (path / "config.json").exists():
        return Ref(path.name, "model", path.resolve())
    if path.is_dir() and (path / "pyproject.toml").exists():
        return Ref(path.resolve().name, "code", path.resolve())
    if path.is_file() and os.access(path, os.X_OK):
        # not resolved: an environment's interpreter is known by the path that it is called by
        return Ref(path.name, "interpreter", path.absolute())
    commit = run_git(["rev-parse", "--verify", f"{words}^{{commit}}"], folder)
    if commit is None:
        raise _nothing(words)
    return Ref(words, "revision", folder, commit)


def _nothing(words: str) -> UsageError:
    return UsageError(
        f"{words!r} is no git revision of this folder, no folder with code or a model, no interpreter.",
        where="REF",
        remedy="Name HEAD~1, a branch, a folder, /path/to/python, or `here` for the running program.",
    )


def run_installer(words: Sequence[str], ref: str) -> None:
    """Run one step of building an environment; MeasurementError with what it said last if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 -- our own interpreter and its installer
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=BUILD_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise MeasurementError(f"its environment cannot be built: {problem}", where=ref) from None
    if done.returncode:
        last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise MeasurementError(
            f"its environment cannot be built: {last}",
            where=ref,
            remedy="Build one yourself and name its interpreter, or use ours: --environment same.",
        )


def code_of(
    ref: Ref,
    cache: Path,
    told: Callable[[str], None],
    environment: Environment = "auto",
    install: Callable[[Sequence[str], str], None] = run_installer,
) -> SideCode:
    """Return how a REF's code is run; a revision is checked out, and installed where it has to be."""
    if ref.kind == "interpreter":
        return SideCode(python=str(ref.path))
    if ref.kind == "code" and ref.path:
        place, revision = cache / "refs" / ref.path.name, revision_of(ref.path)
        return _built(ref.path, revision, place, told, environment, install)
    if ref.kind == "revision" and ref.path:
        place = cache / "refs" / ref.commit[:12]
        source = _checked_out(ref, place, told)
        revision = Revision(commit=ref.commit[:12], dirty=False)
        return _built(source, revision, place, told, environment, install)
    return SideCode()


def same_dependencies(source: Path) -> bool:
    """Say whether a checkout declares what the installed distribution of its name declares."""
    declared = _project(source)
    try:
        installed = importlib.metadata.requires(str(declared.get("name", ""))) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    ours = {_normal(each) for each in installed if "extra ==" not in each}
    return ours == {_normal(each) for each in declared.get("dependencies", [])}


def _checked_out(ref: Ref, place: Path, told: Callable[[str], None]) -> Path:
    """Write a revision's files below the cache, whole or not at all; they are kept for the next time."""
    source = place / "source"
    if source.exists():
        return source
    told(f"checking out {ref.words} ({ref.commit[:12]})")
    try:
        place.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=place, prefix=".writing-"))
    except OSError as problem:
        raise StoreError(f"the cache cannot be written: {problem.strerror}.", where=str(place)) from None
    try:
        _unpack(ref, scratch)
        scratch.rename(source)
    except OSError:
        if not source.exists():  # another process was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return source


def _unpack(ref: Ref, folder: Path) -> None:
    words = ["git", "archive", "--format=tar", ref.commit]
    top = run_git(["rev-parse", "--show-toplevel"], ref.path or folder)
    with subprocess.Popen(words, cwd=top, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:  # noqa: S603
        with tarfile.open(fileobj=done.stdout, mode="r|") as archive:
            archive.extractall(folder, filter="data")
        said = done.stderr.read().decode("utf-8", "replace").strip() if done.stderr else ""
    if done.returncode:
        raise MeasurementError(f"git cannot archive it: {said}", where=ref.words)


def _built(
    source: Path,
    revision: Revision | None,
    place: Path,
    told: Callable[[str], None],
    environment: Environment,
    install: Callable[[Sequence[str], str], None],
) -> SideCode:
    """Return the running interpreter with this code, or one of its own where its dependencies differ."""
    code = str(source / "src" if (source / "src").is_dir() else source)
    if environment == "same" or (environment == "auto" and same_dependencies(source)):
        return SideCode(source=code, revision=revision)
    own = place / "environment"
    python = own / "bin" / "python"
    if not (own / "complete").exists():
        told(f"installing {place.name} with what it depends on, into an environment of its own")
        shutil.rmtree(own, ignore_errors=True)
        install([sys.executable, "-m", "venv", str(own)], place.name)
        install([str(python), "-m", "pip", "install", "--quiet", str(source)], place.name)
        (own / "complete").touch()
    # a folder may have changed since it was installed: its code goes before the installed copy
    return SideCode(python=str(python), source=code, revision=revision)


def _project(source: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    project = found.get("project", {})
    return project if isinstance(project, dict) else {}


def _normal(requirement: str) -> str:
    """Return a requirement in one of many ways to write it: `a <3, >=2` and `a>=2,<3` agree."""
    text, _, marker = requirement.partition(";")
    found = re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*(\[[^]]*\])?\s*\(?([^)]*)\)?\s*", text)
    if found is None:
        return requirement
    name = re.sub(r"[-_.]+", "-", found[1]).lower()
    limits = sorted(part.strip().replace(" ", "") for part in found[3].split(",") if part.strip())
    return f"{name}{found[2] or ''}{','.join(limits)};{marker.strip()}"
