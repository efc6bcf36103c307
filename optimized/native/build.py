"""The C encoder (kernels/encoder.c), compiled for this CPU when a model is prepared.

    flags of the CPU --level--> options of the compiler --cc--> a shared library in the artifact's folder

A level is a named set of instructions, unlike `-march=native`: it is part of the artifact's key, and so are
the instructions that a library needs.
"""

import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import find_or_make
from baselines.hardware.c_program import compiler
from harness.common.errors import DeviceError
from harness.systems.interface import Artifact, PreparationContext

LIBRARY = "encoder.so"
"""The library's file in an artifact's folder."""

SOURCES = (
    *("encoder.c", "threads.h", "model.h", "head.h"),
    *("attention.h", "pairs.h", "products.h", "vectors.h"),
)
_OPTIONS = (
    *("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-shared", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wno-psabi", "-Wno-unknown-pragmas"),
)
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Level:
    """Instructions that a library may use.

    `needs` are flags of /proc/cpuinfo, `options` those of the compiler. `lost` is what a CPU of this level
    lacks in comparison with the best level, as a record says it.
    """

    name: str
    needs: frozenset[str]
    options: tuple[str, ...]
    lost: str = ""


_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512vl"}
_NO_VNNI = "no VNNI: bytes are multiplied in 16 bits, so activations and weights have 7 bits"

LEVELS = (
    Level(
        *("avx512-vnni", _AVX512 | {"avx512_vnni"}),
        options=("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"),
    ),
    Level("avx-vnni", _AVX2 | {"avx_vnni"}, ("-mavx2", "-mfma", "-mavxvnni"), "no AVX-512"),
    Level(
        *("avx512", _AVX512, ("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512vl")),
        lost=_NO_VNNI,
    ),
    Level("avx2", _AVX2, ("-mavx2", "-mfma"), f"no AVX-512, {_NO_VNNI}"),
)
"""The best first."""


def flags_here(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the flags of the first CPU; an empty set if the file does not exist."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith("flags")), ":")
    return frozenset(flags.partition(":")[2].split())


def level_of(flags: Iterable[str]) -> Level | None:
    """Return the best level of a CPU with these flags; None if it has none."""
    available = set(flags)
    return next((level for level in LEVELS if level.needs <= available), None)


def source_sha256() -> str:
    """Return the sha256 of the C files and the options they are compiled with."""
    sources = [(files("optimized.native") / "kernels" / name).read_bytes() for name in SOURCES]
    return sha256(b"\0".join([*sources, " ".join(_OPTIONS).encode()])).hexdigest()


def compiled(level: Level, context: PreparationContext) -> Artifact:
    """Return the artifact with the library of this level, compiled once; DeviceError if compiling fails."""
    source = source_sha256()
    key = sha256(f"native-library {level.name} {source}".encode()).hexdigest()

    def make(folder: Path) -> dict[str, Any]:
        command = compiler()
        if command is None:
            raise DeviceError(
                "there is no C compiler on PATH.",
                where="native-int8",
                remedy="Install gcc or clang, name one as CC, or use onnx-int8.",
            )
        context.progress(f"compiling the encoder for {level.name}")
        build(folder / LIBRARY, level.options, command)
        return {"recipe": "native-library", "version": 1, "parents": [source], "compiler": Path(command).name}

    return find_or_make(context.cache, key, make, energy=context.energy)


def build(target: Path, options: Sequence[str], command: str) -> None:
    """Compile the encoder to `target`; DeviceError with the compiler's first error."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in SOURCES:
            (Path(scratch) / name).write_bytes((files("optimized.native") / "kernels" / name).read_bytes())
        _run([command, *_OPTIONS, *options, str(Path(scratch) / SOURCES[0]), "-o", str(target), "-lm"])


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
        remedy="Name another compiler as CC (gcc 8 or newer, clang), or use onnx-int8.",
    )
