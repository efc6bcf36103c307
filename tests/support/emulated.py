"""A plug-in of pytest (`-p emulated`): the compiled encoder of aarch64, in qemu, in place of this CPU's.

    tests --Library--> entry_points --aarch64--> qemu-aarch64 remote_calls encoder.so
                                    --else-----> ctypes, as without the plug-in

Levels, weights and calls are those of an aarch64 CPU; only C code runs in the emulator. `devtools.aarch64`
starts the tests and sets what is read here: AARCH64_CC, AARCH64_RUN, and AARCH64_PREBUILT for a wheel's
library in place of a compiled one.
"""

import atexit
import ctypes
import functools
import itertools
import os
import shlex
import struct
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from optimized.native import build, engine
from optimized.native.levels import LEVELS, symbol_of

_ELF_MACHINE, _AARCH64 = slice(18, 20), (183).to_bytes(2, "little")
_ctypes_entry_points, _allocate = engine.entry_points, engine._allocate


class Remote:
    """A process that holds a library and memory of its own."""

    def __init__(self, library: Path) -> None:
        command = [*shlex.split(os.environ["AARCH64_RUN"]), str(_driver()), str(library)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def allocate(self, size: int) -> int:
        """Return the address of zeros."""
        return self._number(self._request("a", size))

    def free(self, address: int) -> None:
        """Free what was allocated."""
        self._request("f", address)

    def write(self, address: int, data: bytes) -> None:
        """Write memory."""
        self._request("w", address, len(data), data=data)

    def copy(self, data: bytes) -> int:
        """Allocate memory for data, and return its address."""
        address = self.allocate(len(data))
        self.write(address, data)
        return address

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""
        self._request("r", address, size)
        return self._read(size)

    def call(self, name: str, *arguments: int) -> int:
        """Call a function with up to eight numbers; return its result."""
        numbers = struct.pack("8q", *arguments, *[0] * (8 - len(arguments)))
        return self._number(self._request("c", len(name), data=name.encode() + numbers))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _request(self, kind: str, *numbers: int, data: bytes = b"") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(struct.pack(f"{1 + len(numbers)}q", ord(kind), *numbers) + data)
        self._process.stdin.flush()

    def _number(self, _sent: None) -> int:
        return int(struct.unpack("q", self._read(8))[0])

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) != size:
            raise RuntimeError(f"the emulated library ended: exit code {self._process.wait(10)}")
        return data


@functools.cache
def _driver() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="emulated-"))
    source, target = Path(__file__).with_name("remote_calls.c"), folder / "remote_calls"
    command = [*shlex.split(os.environ["AARCH64_CC"]), "-O1", str(source), "-o", str(target), "-ldl"]
    subprocess.run([*command, "-pthread", "-lm"], check=True)
    return target


_REMOTES: dict[str, Remote] = {}
"""A process for each library, by its content: artifacts link to the same one."""


def _remote(library: Path) -> Remote:
    digest = sha256(library.read_bytes()).hexdigest()
    if digest not in _REMOTES:
        _REMOTES[digest] = Remote(library)
        atexit.register(_REMOTES[digest].close)
    return _REMOTES[digest]


class Block:
    """The block of memory in which an engine's arrays lie, copied to the other process when it opens."""

    memory: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)

    @classmethod
    def allocate(cls, size: int) -> npt.NDArray[np.uint8]:
        """Allocate as the engine does, and keep the newest block."""
        cls.memory = _allocate(size)
        return cls.memory


def _translated(item: Any, shift: int) -> Any:
    """Return a copy of a structure whose pointers to arrays are those of the other process."""
    copy = type(item).from_buffer_copy(item)
    _translate(copy, shift)
    return copy


def _translate(item: Any, shift: int) -> None:
    for name, kind in item._fields_:
        value = getattr(item, name)
        if isinstance(value, ctypes.Structure):
            _translate(value, shift)
        elif isinstance(value, ctypes.Array):
            value[:] = [address + shift if address else None for address in value]
        elif kind is ctypes.c_void_p and value:
            setattr(item, name, value + shift)


class EmulatedLevel:
    """The functions of one level, called as ctypes calls them."""

    def __init__(self, remote: Remote, symbol: str) -> None:
        self._remote, self._symbol = remote, symbol
        self._models: dict[int, Any] = {}

    def layout(self, numbers: Any) -> None:
        """Fill an array of int32."""
        self._filled("layout", ctypes.addressof(numbers), ctypes.sizeof(numbers))

    def dot(self) -> bytes:
        """Return the name of the instruction."""
        start = self._call("dot")
        letters = (self._remote.read(at, 1) for at in itertools.count(start))
        return b"".join(itertools.takewhile(lambda letter: letter != b"\0", letters))

    def open(self, reference: Any, threads: int, longest: int) -> int | None:
        """Copy a model, and return the engine that reads it."""
        model, block, copy = reference._obj, Block.memory, self._remote.copy
        shift = copy(block.tobytes()) - block.ctypes.data
        layers = ctypes.cast(model.layer, ctypes.POINTER(engine._Layer * model.layers)).contents
        translated = _translated(model, shift)
        layers_address = copy(b"".join(bytes(_translated(layer, shift)) for layer in layers))
        translated.layer = ctypes.cast(layers_address, type(model.layer))
        handle = self._call("open", copy(bytes(translated)), threads, longest)
        self._models[handle] = model
        return handle or None

    def answer(self, handle: int, count: int, *addresses: int | None) -> int:
        """Copy the arrays of a call, and its logits back."""
        ids, segments, offsets, spans, logits, _scratch = addresses
        assert offsets
        assert logits
        tokens, model = ctypes.c_int64.from_address(offsets + 8 * count).value, self._models[handle]
        sizes = (4 * tokens, 4 * tokens, 8 * (count + 1), 8 * count * model.spans, 4 * count * model.labels)
        given = zip((ids, segments, offsets, spans, logits), sizes, strict=True)
        copies = [self._remote.copy(ctypes.string_at(at, size)) if at else 0 for at, size in given]
        copies.append(self._remote.allocate(8 * (2 * count + 1)))
        result = self._call("answer", handle, count, *copies)
        ctypes.memmove(logits, self._remote.read(copies[4], sizes[4]), sizes[4])
        for address in filter(None, copies):
            self._remote.free(address)
        return result & 0xFFFFFFFF  # an int: the upper half of the register may hold anything

    def ticks(self, handle: int, out: int) -> None:
        """Fill an array of uint64."""
        self._filled("ticks", out, 8 * len(engine.CLASSES), handle)

    def close(self, handle: int | None) -> None:
        """Close an engine; its model stays in memory."""
        self._call("close", handle or 0)

    def _call(self, name: str, *arguments: int) -> int:
        return self._remote.call(f"encoder_{name}_{self._symbol}", *arguments)

    def _filled(self, name: str, out: int, size: int, *arguments: int) -> None:
        copy = self._remote.copy(ctypes.string_at(out, size))
        self._call(name, *arguments, copy)
        ctypes.memmove(out, self._remote.read(copy, size), size)


def entry_points(path: Path, level: str) -> SimpleNamespace:
    """Return the functions of a level, in the emulator if the library is of aarch64."""
    if path.read_bytes()[_ELF_MACHINE] != _AARCH64:
        return _ctypes_entry_points(path, level)
    emulated = EmulatedLevel(_remote(path), symbol_of(level))
    names = ("layout", "dot", "open", "answer", "ticks", "close")
    # ctypes' functions have attributes, as these objects may
    return SimpleNamespace(
        **{f"encoder_{name}": functools.partial(getattr(emulated, name)) for name in names}
    )


def _emulate() -> None:
    """Let the encoder see an aarch64 CPU, its compiler, and its libraries; plain C runs on this CPU."""
    best = next(level for level in LEVELS if level.machine == "aarch64")
    build.flags_here = lambda *_: best.needs
    build.compiler = lambda: os.environ["AARCH64_CC"]
    if prebuilt := os.environ.get("AARCH64_PREBUILT"):
        build.PREBUILT = Path(prebuilt)
    engine.entry_points, engine._allocate = entry_points, Block.allocate


_emulate()
