"""The commit of the project that is measured, read by git."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.records.record import Revision

PATIENCE_S = 10.0
"""The timeout of a git command; the status of a large repository takes a second or two."""


def revision_of(folder: Path) -> Revision | None:
    """Return the commit of the repository that contains the folder, or None without a repository or git."""
    commit = run_git(["rev-parse", "--short=12", "HEAD"], folder)
    if commit is None:
        return None
    changed = run_git(["status", "--porcelain", "--untracked-files=no"], folder)
    return Revision(commit=commit, dirty=bool(changed))


def run_git(arguments: Sequence[str], folder: Path) -> str | None:
    """Return the output of a git command, or None if it fails; it must not write, not even git's index."""
    try:
        process = subprocess.run(  # noqa: S603 -- a fixed program without a shell
            ["git", *arguments],  # noqa: S607 -- the user's git
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
    return process.stdout.strip() if process.returncode == 0 else None
