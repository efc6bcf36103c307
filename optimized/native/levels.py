"""Levels of instructions of the C encoder, and the commands that compile it; the standard library alone.

    flags of the CPU --level_of--> level --compile_command--> a library of one level or more

A level is a named set of instructions, unlike `-march=native`: it is part of an artifact's key, and so are
the instructions that a library needs. Names of functions end with the level's name, so a library may hold all
levels of a processor. setup.py imports this file where nothing else is installed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

KERNELS = Path(__file__).parent / "kernels"

SOURCES = (
    *("encoder.c", "threads.h", "platform.h", "model.h", "head.h", "attention.h", "pairs.h", "products.h"),
    *("arm_tiles.h", "vectors.h", "x86.h", "arm.h", "portable.h"),
)
OPTIONS = (
    *("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    *("-fPIC", "-fvisibility=hidden", "-pthread", "-Wno-psabi", "-Wno-unknown-pragmas"),
)
"""Options of the compiler at every level."""

LINK_OPTIONS = ("-shared", "-pthread")


@dataclass(frozen=True, slots=True)
class Level:
    """Instructions that a library may use.

    `needs` are flags of /proc/cpuinfo, `options` those of the compiler. `lost` is what a CPU of this level
    lacks in comparison with the best level of its kind, as a record says it.
    """

    name: str
    needs: frozenset[str]
    options: tuple[str, ...]
    lost: str = ""
    machine: str = "x86_64"

    @property
    def vector_bytes(self) -> int:
        """Width of its vectors (kernels/vectors.h)."""
        return 64 if "-mavx512bw" in self.options else 32

    @property
    def symbol(self) -> str:
        """What the names of its functions end with."""
        return symbol_of(self.name)


_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512vl"}
_NO_VNNI = "no VNNI: bytes are multiplied in 16 bits, so activations and weights have 7 bits"
_DOT = frozenset({"asimddp", "atomics"})  # Linux's names for SDOT and for the atomic instructions of ARMv8.1

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
    Level("i8mm", _DOT | {"i8mm"}, ("-march=armv8.2-a+dotprod+i8mm",), machine="aarch64"),
    Level(
        *("dotprod", _DOT, ("-march=armv8.2-a+dotprod",)),
        lost="no i8mm: half as many products an instruction",
        machine="aarch64",
    ),
)
"""The best of each machine first."""

MACHINES = tuple(dict.fromkeys(level.machine for level in LEVELS))
"""Machines with a level, as `platform.machine` names them."""


def symbol_of(name: str) -> str:
    """Return what the names of a level's functions end with."""
    return name.replace("-", "_")


def flags_here(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the flags of the first CPU; an empty set if the file does not exist."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    # x86 has a line of flags, aarch64 one of features
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    return frozenset(flags.partition(":")[2].split())


def level_of(flags: Iterable[str]) -> Level | None:
    """Return the best level of a CPU with these flags; None if it has none."""
    available = set(flags)
    return next((level for level in LEVELS if level.needs <= available), None)


def source_sha256() -> str:
    """Return the sha256 of the C files and the options they are compiled with."""
    sources = [(KERNELS / name).read_bytes() for name in SOURCES]
    return sha256(b"\0".join([*sources, " ".join(OPTIONS).encode()])).hexdigest()


def compile_command(
    compiler: Sequence[str], symbol: str, options: Sequence[str], target: Path, every: Sequence[str] = OPTIONS
) -> list[str]:
    """Return the command that compiles one level to an object file; `every` are options of all levels."""
    source = str(KERNELS / SOURCES[0])
    return [*compiler, *every, *options, f"-DLEVEL={symbol}", "-c", source, "-o", str(target)]


def link_command(linker: Sequence[str], objects: Iterable[Path], target: Path) -> list[str]:
    """Return the command that links object files to a library."""
    return [*linker, *LINK_OPTIONS, *map(str, objects), "-o", str(target), "-lm"]
