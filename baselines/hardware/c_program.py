"""The small C programs of this package: finding a compiler, compiling, running."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")
NO_COMPILER = f"no C compiler ({', '.join(COMPILERS)}) is on PATH, nor named by CC"
_TIMEOUT_S = 120

Run = Callable[[Sequence[str]], str]
"""Runs a command and returns its standard output."""


def compiler() -> str | None:
    """Return the path of the C compiler that `CC` names, or of the first on PATH; None if there is none."""
    chosen = os.environ.get("CC")
    names = (chosen,) if chosen else COMPILERS
    return next((path for name in names if (path := shutil.which(name))), None)


def run_command(command: Sequence[str]) -> str:
    """Run a command and return its standard output; subprocess.SubprocessError if it fails or times out."""
    process = subprocess.run(  # noqa: S603 -- our own program, or this interpreter
        list(command), check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    return process.stdout


def build(command: str, name: str, folder: Path, run: Run = run_command) -> Path:
    """Compile NAME.c into the folder and return the program; raises what `run` raises if that fails."""
    program = folder / name
    with as_file(files(__package__) / f"{name}.c") as source:
        run([command, "-O3", "-o", str(program), str(source), "-lpthread"])
    return program
