"""The compiled encoder behind ctypes: structures as C declares them, and one call that answers sequences.

The interpreter's lock is released while C works; Python only lays the ids of a call one behind the other.
"""

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import DataError, DeviceError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits
from optimized.native.layout import Arrays, Facts, Layout

_Whole = npt.NDArray[np.int32]

_LINE = 64  # bytes of a cache line: no load of a vector crosses one
_READ = ("query", "value", "key", "out", "up", "down")
"""Linear maps in the order in which kernels/encoder.c comes to them."""

CLASSES = ("linears", "attention", "normalisation", "rounding", "rest")
"""What kernels/encoder.c counts time by, in its order; the activation is fused into linears."""

_POINTER = ctypes.c_void_p
_INT = ctypes.c_int32


class _Linear(ctypes.Structure):
    _fields_ = (
        *(("inputs", _INT), ("outputs", _INT)),
        *((name, _POINTER) for name in ("weights", "units", "sums", "bias")),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        *(("heads", _INT), ("head_size", _INT), ("activation", _INT)),
        *((name, _Linear) for name in ("query", "key", "value", "out", "up", "down")),
        *(("gain", _POINTER * 2), ("shift", _POINTER * 2)),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, _INT) for name in ("layers", "hidden", "labels", "dense_outputs", "dense_activation")),
        *(("spans", _INT), ("segments", _INT), ("vocabulary", _INT), ("epsilon", ctypes.c_float)),
        *((name, _POINTER) for name in ("words", "positions", "types", "gain", "shift")),
        *((name, _POINTER) for name in ("dense", "dense_bias", "label", "label_bias")),
        ("layer", ctypes.POINTER(_Layer)),
    )


class Library:
    """A compiled encoder; `layout` is how its weights must lie, `dot` its instruction for dot products."""

    def __init__(self, path: Path) -> None:
        try:
            self.calls = ctypes.CDLL(str(path))
        except OSError as problem:
            raise DeviceError(
                f"the compiled encoder does not load ({problem}).", where=path.name
            ) from problem
        numbers = (_INT * 7)()
        self.calls.encoder_layout(numbers)
        *layout, model, layer = numbers
        if (model, layer) != (ctypes.sizeof(_Model), ctypes.sizeof(_Layer)):
            raise DeviceError("the compiled encoder has other structures than this version.", where=path.name)
        self.layout = Layout(*layout)
        self.calls.encoder_dot.restype = ctypes.c_char_p
        self.dot = self.calls.encoder_dot().decode()
        self.calls.encoder_open.restype = _POINTER
        self.calls.encoder_open.argtypes = (ctypes.POINTER(_Model), ctypes.c_int, ctypes.c_long)
        self.calls.encoder_spent.argtypes = (_POINTER, _POINTER)
        self.calls.encoder_close.argtypes = (_POINTER,)
        self.calls.encoder_answer.argtypes = (_POINTER, ctypes.c_long, *[_POINTER] * 6)


class Engine:
    """A model in a library, with threads of its own; it holds the arrays that C reads."""

    def __init__(self, library: Library, facts: Facts, arrays: Arrays, threads: int, longest: int) -> None:
        self._library, self._facts, self._longest = library, facts, longest
        self._arrays = _side_by_side(arrays, facts.layers)
        self._layers = (_Layer * facts.layers)(*(self._layer(depth) for depth in range(facts.layers)))
        self._model = self._described()
        self._handle = library.calls.encoder_open(ctypes.byref(self._model), threads, longest)
        if not self._handle:
            raise DeviceError(f"no memory or no threads for {threads} threads of {longest} tokens.")

    def answer(self, sequences: Sequence[EncodedSequence]) -> Logits:
        """Return logits [sequences, labels], float32, in the checkpoint's own order of labels.

        DataError for what C would read beyond the end of: too many tokens, unknown ids or segments.
        """
        count, facts = len(sequences), self._facts
        offsets = np.array(list(accumulate((len(each.ids) for each in sequences), initial=0)), np.int64)
        ids = _joined([each.ids for each in sequences])
        segments = _joined([each.segments for each in sequences])
        spans = np.array([each.spans for each in sequences], np.int32) if facts.spans else None
        logits, scratch = np.empty((count, facts.labels), np.float32), np.empty(2 * count + 1, np.int64)
        arrays = (ids, segments, offsets, spans, logits, scratch)
        if not self._library.calls.encoder_answer(self._handle, count, *map(_address, arrays)):
            raise self._unreadable()
        return logits

    def _unreadable(self) -> DataError:
        words, kinds = len(self._arrays["words"]), max(2, self._facts.segments)
        return DataError(
            f"a sequence has no token, more than {self._longest}, or one that the model does not know "
            f"({words} words, {kinds} segments).",
            where="native-int8",
            remedy="Encode it with the checkpoint's own tokenizer, and ask for its length.",
        )

    def spent(self) -> npt.NDArray[np.uint64]:
        """Return ticks of all threads since the engine was opened, by class as `CLASSES` orders them."""
        ticks = np.zeros(len(CLASSES), np.uint64)
        self._library.calls.encoder_spent(self._handle, ticks.ctypes.data)
        return ticks

    def close(self) -> None:
        """End the threads and release what C holds."""
        self._library.calls.encoder_close(self._handle)
        self._handle = None

    def _described(self) -> _Model:
        facts, at = self._facts, self._at
        return _Model(
            *(facts.layers, facts.hidden, facts.labels, facts.dense_outputs, facts.dense_activation),
            *(facts.spans, facts.segments, len(self._arrays["words"]), facts.epsilon),
            *map(at, ("words", "positions", "types", "embeddings.gain", "embeddings.shift")),
            *map(at, ("dense", "dense_bias", "label", "label_bias")),
            self._layers,
        )

    def _layer(self, depth: int) -> _Layer:
        facts, name = self._facts, f"layer.{depth}"
        inner, ffn = facts.heads[depth] * facts.head_size, facts.ffn[depth]
        sizes = {
            **dict.fromkeys(("query", "key", "value"), (facts.hidden, inner)),
            "out": (inner, facts.hidden),
            "up": (facts.hidden, ffn),
            "down": (ffn, facts.hidden),
        }
        maps = [
            _Linear(
                *size, *(self._at(f"{name}.{part}.{each}") for each in ("weights", "units", "sums", "bias"))
            )
            for part, size in sizes.items()
        ]
        norms = [
            (_POINTER * 2)(*(self._at(f"{name}.norm.{at}.{each}") for at in (0, 1)))
            for each in ("gain", "shift")
        ]
        return _Layer(facts.heads[depth], facts.head_size, facts.activation, *maps, *norms)

    def _at(self, name: str) -> int | None:
        return _address(self._arrays.get(name))


def _address(array: npt.NDArray[Any] | None) -> int | None:
    """Return where an array begins; ndarray.ctypes.data says the same in several times the time."""
    if array is None or not array.size:
        return None
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer


def _joined(parts: Sequence[npt.NDArray[np.integer[Any]]]) -> npt.NDArray[np.int32]:
    return np.concatenate(parts, dtype=np.int32, casting="same_kind")


def _side_by_side(arrays: Arrays, layers: int) -> dict[str, npt.NDArray[Any]]:
    """Return copies in one piece of memory, weights in the order in which a layer reads them.

    While one panel of weights is multiplied, C fetches what lies behind it: that has to be what comes next.
    Each begins at a cache line, with a line of zeros behind it.
    """
    weights = [f"layer.{depth}.{part}.weights" for depth in range(layers) for part in _READ]
    names = [*weights, *(name for name in arrays if name not in set(weights))]
    room = [_lines(arrays[name].nbytes) for name in names]
    ends = np.cumsum(room)
    memory = _memory(int(ends[-1]))
    starts = (ends - room).tolist()
    return {name: _copied(arrays[name], memory[at:]) for name, at in zip(names, starts, strict=True)}


def _lines(size: int) -> int:
    return (size + 2 * _LINE - 1) // _LINE * _LINE


def _memory(size: int) -> npt.NDArray[np.uint8]:
    """Return zeros from a page's start, on large pages where the system gives them.

    Weights fill thousands of small ones, more than the processor knows at a time.
    """
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


def _copied(array: npt.NDArray[Any], memory: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    whole = memory[: array.nbytes].view(array.dtype).reshape(array.shape)
    whole[...] = array
    return whole


def facts_of(library: Library, level_lost: str) -> Mapping[str, Any]:
    """Return what a record says of a library."""
    layout = library.layout
    return {
        "dot_product": library.dot,
        "vector_bits": 8 * layout.vector_bytes,
        "activation_levels": layout.activation_max + 1,
        "weight_levels": 2 * layout.weight_max + 1,
        **({"lost": level_lost} if level_lost else {}),
    }
