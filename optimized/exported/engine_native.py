"""The compiled encoder of this folder behind ctypes; needs numpy, safetensors, and AVX2 or ARM dot products.

    encoder.safetensors --one block of memory----------> arrays --+
    encoder.json --structures, addresses of the arrays------------+--> encoder_answer (csrc/encoder.c)
    encoder.so, or csrc/ compiled for the level of this CPU ------+

Where this CPU lacks instructions that the weights are arranged for, another level of encoder.so is used, or
the sources are compiled for one, and the weights are arranged for it (packing.py). `sh build.sh LEVEL`
compiles once and for all.
"""

import ctypes
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from itertools import accumulate, chain
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

Arrays = Mapping[str, npt.NDArray[Any]]
Sequences = Sequence[tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]]
"""Token ids, segment ids and spans of each sequence."""

_LINE = 64  # bytes of a cache line: arrays begin at one, and a line of zeros follows each
_COMPILERS = ("cc", "gcc", "clang")
_FUNCTIONS = ("encoder_layout", "encoder_dot", "encoder_open", "encoder_answer")
_TIMEOUT_S = 300


class Engine:
    """A model with its own threads; calls of `logits` from several threads wait for one another.

    OSError if there is no library for this CPU, and none can be compiled.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], threads: int) -> None:
        self._lock, self._threads = threading.Lock(), threads
        self._description = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        self._level, self._library = _open_library(folder, self._description)
        arrays: Arrays = load_file(folder / "encoder.safetensors")
        if (layout := _layout(self._library)) != self._description["layout"]:
            arrays = _packing().arrange(arrays, self._description, layout)
        self._arrays = _one_block(arrays, self._description["order"])
        self._structures = _structures(self._description, self._arrays)
        self._library.encoder_open.restype = ctypes.c_void_p
        self._library.encoder_open.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long)
        self._library.encoder_answer.argtypes = (ctypes.c_void_p, ctypes.c_long, *[ctypes.c_void_p] * 6)
        self._handle = self._library.encoder_open(
            ctypes.addressof(self._structures), threads, settings["max_length"]
        )
        if not self._handle:
            raise OSError(f"could not start {threads} threads with memory for the longest sequence")

    def describe(self) -> dict[str, Any]:
        """Return the engine's name, the level of instructions, and the threads."""
        self._library.encoder_dot.restype = ctypes.c_char_p
        dot = self._library.encoder_dot().decode()
        return {"engine": "native", "level": self._level, "dot_product": dot, "threads": self._threads}

    def logits(self, sequences: Sequences) -> npt.NDArray[np.float32]:
        """Return the logits of sequences; ValueError for one that C would refuse to read."""
        count = len(sequences)
        lengths = accumulate((len(ids) for ids, _, _ in sequences), initial=0)
        parts: list[npt.NDArray[Any]] = [
            np.array(list(chain.from_iterable(ids for ids, _, _ in sequences)), np.int32),
            np.array(list(chain.from_iterable(segments for _, segments, _ in sequences)), np.int32),
            np.array(list(lengths), np.int64),
            np.array([spans for _, _, spans in sequences], np.int32),
            np.empty((count, self._description["labels"]), np.float32),
            np.empty(2 * count + 1, np.int64),
        ]
        with self._lock:
            if not self._library.encoder_answer(self._handle, count, *[part.ctypes.data for part in parts]):
                raise ValueError("a sequence has too many tokens, or ids that the model has not")
        return parts[4]


def _open_library(folder: Path, description: Mapping[str, Any]) -> tuple[str, SimpleNamespace]:
    """Return a level and its functions: the level that the weights are for, else the best of this CPU."""
    flags, width = _cpu_flags(), description["layout"][0]
    levels = {level["name"]: level for level in description["levels"] if flags.issuperset(level["needs"])}
    # weights are padded for vectors of this folder's width: narrower ones can read them
    levels = {name: level for name, level in levels.items() if level["vector_bytes"] <= width}
    if not levels:
        needs = " or ".join(" ".join(level["needs"]) for level in description["levels"])
        raise OSError(f"the encoder needs a CPU with {needs}; this one has none of these")
    shipped, problem = description["level"], "this CPU lacks instructions that it uses"
    name = shipped if shipped in levels else next(iter(levels))
    functions = None
    try:
        functions = _functions(folder / "encoder.so", name)
    except (OSError, AttributeError) as error:
        problem = str(error) if name == shipped else problem
    if functions is not None and name == shipped:
        return name, functions
    print(f"encoder.so for {shipped} is not used ({problem}): using one for {name}", file=sys.stderr)  # noqa: T201
    if functions is not None:
        return name, functions
    if (built := folder / f"encoder-{name}.so").is_file():
        return name, _functions(built, name)
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / built.name
        symbol = f"-DLEVEL={name.replace('-', '_')}"
        _compile(folder, [*description["options"], *levels[name]["options"], symbol], library)
        return name, _functions(library, name)


def _functions(library: Path, level: str) -> SimpleNamespace:
    """Return the functions of a level; OSError or AttributeError where the library has none."""
    functions, symbol = ctypes.CDLL(str(library)), level.replace("-", "_")
    return SimpleNamespace(**{name: getattr(functions, f"{name}_{symbol}") for name in _FUNCTIONS})


def _cpu_flags() -> set[str]:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return set()


def _compile(folder: Path, options: Iterable[str], target: Path) -> None:
    names = [os.environ["CC"]] if os.environ.get("CC") else _COMPILERS
    compiler = next((path for name in names if (path := shutil.which(name))), None)
    if compiler is None:
        raise OSError(
            f"no C compiler ({', '.join(names)}) is on PATH to compile it: install gcc or clang, or run "
            f"`sh build.sh` where there is one and put {target.name} into this folder"
        )
    command = [compiler, *options, str(folder / "csrc" / "encoder.c"), "-o", str(target), "-lm"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.SubprocessError as error:
        raise OSError(
            f"{compiler} could not compile csrc/encoder.c: {getattr(error, 'stderr', error)}"
        ) from None


def _layout(library: SimpleNamespace) -> list[int]:
    """Return the layout of a library's weights and the sizes of its structures (csrc/encoder.c)."""
    numbers = (ctypes.c_int32 * 64)(*[-1] * 64)
    library.encoder_layout(numbers)
    return list(numbers[: list(numbers).index(-1)])


def _packing() -> ModuleType:
    """Return packing.py, also where this folder is not on Python's path."""
    spec = spec_from_file_location("packing", Path(__file__).with_name("packing.py"))
    module = module_from_spec(spec)  # type: ignore[arg-type]  # a file has a loader
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def _one_block(arrays: Arrays, order: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return copies in one block of memory, on large pages where there are any, in the order of reading."""
    sizes = [(arrays[name].nbytes + 2 * _LINE - 1) // _LINE * _LINE for name in order]
    pages = mmap.mmap(-1, sum(sizes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    memory, block = np.frombuffer(pages, np.uint8), {}
    for name, start in zip(order, accumulate(sizes, initial=0), strict=False):
        array = arrays[name]
        block[name] = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        block[name][...] = array
    return block


def _structures(description: Mapping[str, Any], arrays: Arrays) -> ctypes.Array[ctypes.c_uint64]:
    """Return the C structures in one piece; a value is a number, or names an array, or is an offset."""
    memory: ctypes.Array[ctypes.c_uint64] = (ctypes.c_uint64 * (description["structure_bytes"] // 8 + 1))()
    for offset, _, kind, value in description["structures"]:
        if kind == "array":
            struct.pack_into("@P", memory, offset, arrays[value].ctypes.data)
        elif kind == "structure":
            struct.pack_into("@P", memory, offset, ctypes.addressof(memory) + value)
        else:
            struct.pack_into(f"@{kind}", memory, offset, value)
    return memory
