"""The C encoder (kernels/encoder.c), compiled for this CPU when a model is prepared.

    CPU's flags --level--> what the compiler may use --cc--> a shared library in the artifact's folder

The level is named, not `-march=native`: what the library needs of a CPU is then known, and part of the
artifact's key.
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

_OPTIONS = (
    *("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-shared", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wno-psabi", "-Wno-unknown-pragmas"),
)
SOURCES = ("encoder.c", "threads.h", "attention.h", "products.h", "vectors.h")
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Level:
    """Instructions that the library may use: `needs` as /proc/cpuinfo names them, `options` as compilers do.

    `lost` says what a CPU of this level lacks of the best one, in the words of a record.
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
    """Return the flags of the first CPU; none where there is no such file."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = next((line for line in lines if line.startswith("flags")), ":")
    return frozenset(found.partition(":")[2].split())


def level_of(flags: Iterable[str]) -> Level | None:
    """Return the best level of a CPU with these flags; None where it has none."""
    have = set(flags)
    return next((level for level in LEVELS if level.needs <= have), None)


def source_sha256() -> str:
    """Return the sha256 over the C files and the options they are compiled with."""
    read = [(files("optimized.native") / "kernels" / name).read_bytes() for name in SOURCES]
    return sha256(b"\0".join([*read, " ".join(_OPTIONS).encode()])).hexdigest()


def compiled(level: Level, workshop: PreparationContext) -> Artifact:
    """Return the artifact with the library for this level, compiled once; DeviceError where it cannot be."""
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
        workshop.progress(f"compiling the encoder for {level.name}")
        build(folder / LIBRARY, level.options, command)
        return {"recipe": "native-library", "version": 1, "parents": [source], "compiler": Path(command).name}

    return find_or_make(workshop.cache, key, make, energy=workshop.energy)


def build(target: Path, options: Sequence[str], command: str) -> None:
    """Compile the encoder to `target`; DeviceError with what the compiler said."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in SOURCES:
            (Path(scratch) / name).write_bytes((files("optimized.native") / "kernels" / name).read_bytes())
        _run([command, *_OPTIONS, *options, str(Path(scratch) / SOURCES[0]), "-o", str(target), "-lm"])


def _run(words: Sequence[str]) -> None:
    try:
        subprocess.run(list(words), check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.CalledProcessError as problem:
        said = (problem.stderr.splitlines() or ["nothing"])[0]
        raise _not_compiled(words[0], said) from problem
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise _not_compiled(words[0], str(problem)) from problem


def _not_compiled(command: str, said: str) -> DeviceError:
    return DeviceError(
        f"the C compiler {Path(command).name} could not compile it: {said}",
        where="native-int8",
        remedy="Name another compiler as CC (gcc 8 or newer, clang), or use onnx-int8.",
    )
