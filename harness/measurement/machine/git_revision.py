"""Which commit of the project in a folder is under test, as git tells it."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.records.record import Revision

PATIENCE_S = 10.0
"""A status of a large repository takes a second or two; a measurement does not wait longer for it."""


def revision_of(folder: Path) -> Revision | None:
    """Return the commit of the repository that holds the folder, or None where there is none, or no git."""
    commit = run_git(["rev-parse", "--short=12", "HEAD"], folder)
    if commit is None:
        return None
    changed = run_git(["status", "--porcelain", "--untracked-files=no"], folder)
    return Revision(commit=commit, dirty=bool(changed))


def run_git(words: Sequence[str], folder: Path) -> str | None:
    """Return what a git command prints, or None where it fails; it writes nothing, not even its index."""
    try:
        done = subprocess.run(  # noqa: S603 -- a fixed program without a shell
            ["git", *words],  # noqa: S607 -- whichever git the user has
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
