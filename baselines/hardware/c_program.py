"""A small C program of our own: the compiler that is here, and the program that it makes."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")
WITHOUT = f"no C compiler ({', '.join(COMPILERS)}) is on PATH, nor named by CC"
_TIMEOUT_S = 120

Run = Callable[[Sequence[str]], str]
"""Runs a command and returns what it prints."""


def compiler() -> str | None:
    """Return the C compiler that `CC` names, or the first on PATH; None without one."""
    named = os.environ.get("CC")
    return next((found for name in ((named,) if named else COMPILERS) if (found := shutil.which(name))), None)


def run_command(words: Sequence[str]) -> str:
    """Run a command; what it prints comes back, what it complains of does not."""
    done = subprocess.run(  # noqa: S603 -- our own program, or this interpreter
        list(words), check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    return done.stdout


def build(command: str, name: str, folder: Path, run: Run = run_command) -> Path:
    """Compile NAME.c into the folder; what `run` raises where that fails."""
    program = folder / name
    with as_file(files(__package__) / f"{name}.c") as source:
        run([command, "-O3", "-o", str(program), str(source), "-lpthread"])
    return program
