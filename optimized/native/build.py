"""The library of the C encoder for this CPU: the one of the wheel, else compiled when a model is prepared.

prebuilt/encoder.so, all levels (setup.py) --copy-----+
                                                      +--> a shared library in the artifact's folder
kernels/*.c --C compiler, this CPU's level------------+
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import find_or_make
from baselines.hardware.c_program import COMPILERS, compiler
from harness.common.errors import DeviceError
from harness.systems.interface import Artifact, PreparationContext
from optimized.native.levels import (
    KERNELS,
    LEVELS,
    LINK_OPTIONS,
    OPTIONS,
    SOURCES,
    Level,
    flags_here,
    level_of,
    source_sha256,
)

__all__ = ["LEVELS", "LINK_OPTIONS", "OPTIONS", "SOURCES", "Level", "flags_here", "level_of", "source_sha256"]

LIBRARY = "encoder.so"
"""The library's file in an artifact's folder, and in the wheel's."""

DESCRIPTION = "encoder.json"
"""What the wheel's library holds: `source`, `compiler` and `levels` (setup.py)."""

PREBUILT = Path(__file__).parent / "prebuilt"
"""Where a wheel has its library; a source tree has none."""

_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Prebuilt:
    """The wheel's library, with the compiler that made it."""

    file: Path
    compiler: str


def prebuilt(level: Level) -> Prebuilt | None:
    """Return the wheel's library; None without one, or if it lacks the level or is of other sources."""
    try:
        description = json.loads((PREBUILT / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if description["source"] != source_sha256() or level.name not in description["levels"]:
        return None
    return Prebuilt(PREBUILT / LIBRARY, description["compiler"])


def unavailable(level: Level | None) -> str | None:
    """Return what this machine lacks for a library of the level; None if it lacks nothing."""
    if level is None:
        return "needs a CPU with AVX2 and FMA, or an ARM CPU with dot products (asimddp)"
    if prebuilt(level) is None and compiler() is None:
        return (
            f"needs a C compiler ({', '.join(COMPILERS)}) on PATH, or named by CC, because this installation "
            "has no prebuilt encoder; without it you lose up to half of the speed"
        )
    return None


def prepare_library(level: Level, context: PreparationContext) -> Artifact:
    """Return the artifact with a library that has this level; DeviceError if there is none.

    The wheel's library is taken if there is one, otherwise one is compiled once.
    """
    source, ready = source_sha256(), prebuilt(level)
    origin = f" prebuilt {sha256(ready.file.read_bytes()).hexdigest()}" if ready else ""
    key = sha256(f"native-library {level.name} {source}{origin}".encode()).hexdigest()

    def make(folder: Path) -> dict[str, Any]:
        target = folder / LIBRARY
        command = _copy(ready, target) if ready else _compile(level, target, context)
        return {"recipe": "native-library", "version": 2, "parents": [source], "compiler": command}

    return find_or_make(context.cache, key, make, energy=context.energy)


def _copy(ready: Prebuilt, target: Path) -> str:
    shutil.copyfile(ready.file, target)
    return f"{ready.compiler}, prebuilt"


def _compile(level: Level, target: Path, context: PreparationContext) -> str:
    command = compiler()
    if command is None:
        raise DeviceError(
            "there is no C compiler on PATH, and no prebuilt encoder in this installation.",
            where="native-int8",
            remedy="Install gcc or clang, name one as CC, or use onnx-int8.",
        )
    context.progress(f"compiling the encoder for {level.name}")
    build(target, level.options, command, level.symbol)
    return Path(command).name


def build(target: Path, options: Sequence[str], command: str, symbol: str = "portable") -> None:
    """Compile one level to the library `target`; DeviceError with the compiler's first error."""
    source = str(KERNELS / SOURCES[0])
    _run([command, *OPTIONS, *LINK_OPTIONS, *options, f"-DLEVEL={symbol}", source, "-o", str(target), "-lm"])


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(list(command), check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.CalledProcessError as error:
        lines = error.stderr.splitlines()
        message = next((line for line in lines if "error" in line), "no message")
        raise _not_compiled(command[0], message) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_compiled(command[0], str(error)) from error


def _not_compiled(command: str, message: str) -> DeviceError:
    return DeviceError(
        f"the C compiler {Path(command).name} could not compile the encoder: {message}",
        where="native-int8",
        remedy="Name another compiler as CC (gcc 11 or newer, clang), or use onnx-int8.",
    )
