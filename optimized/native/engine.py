"""The compiled encoder behind ctypes: structures as C declares them, and one call that answers sequences.

    sequences --concatenated ids and segments, offsets--> encoder_answer (kernels/encoder.c) --> logits

ctypes releases the interpreter's lock while C works.
"""

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import DataError, DeviceError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits
from optimized.native.call_arrays import call_arrays
from optimized.native.layout import Arrays, Layout, ModelFields

_LINE = 64  # bytes of a cache line: arrays begin at one, so that no load of a vector crosses two

CLASSES = ("linears", "attention", "normalisation", "rounding", "rest")
"""Classes of work whose time kernels/encoder.c counts, in its order; activations are part of `linears`."""

_LINEAR_MAPS = ("query", "value", "key", "out", "up", "down")
"""Linear maps of a layer, in the order in which kernels/encoder.c reads their weights."""

_LINEAR_ARRAYS = ("weights", "scales", "scaled_sums", "bias", "factors")
"""Arrays of a linear map, as kernels/products.h declares them."""

_POINTER = ctypes.c_void_p
_INT = ctypes.c_int32


class _Linear(ctypes.Structure):
    _fields_ = (
        *(("inputs", _INT), ("outputs", _INT)),
        *((name, _POINTER) for name in _LINEAR_ARRAYS),
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
    """A compiled encoder; `layout` is the layout of its weights, `dot` its instruction for dot products."""

    def __init__(self, path: Path) -> None:
        try:
            self.functions = ctypes.CDLL(str(path))
        except OSError as error:
            raise DeviceError(f"the compiled encoder does not load ({error}).", where=path.name) from error
        fields = (_INT * 7)()
        self.functions.encoder_layout(fields)
        *layout, model_size, layer_size = fields
        if (model_size, layer_size) != (ctypes.sizeof(_Model), ctypes.sizeof(_Layer)):
            raise DeviceError("the compiled encoder has other structures than this version.", where=path.name)
        self.layout = Layout(*layout)
        self.functions.encoder_dot.restype = ctypes.c_char_p
        self.dot = self.functions.encoder_dot().decode()
        self.functions.encoder_open.restype = _POINTER
        self.functions.encoder_open.argtypes = (ctypes.POINTER(_Model), ctypes.c_int, ctypes.c_long)
        self.functions.encoder_ticks.argtypes = (_POINTER, _POINTER)
        self.functions.encoder_close.argtypes = (_POINTER,)
        self.functions.encoder_answer.argtypes = (_POINTER, ctypes.c_long, *[_POINTER] * 6)


class Engine:
    """A model in a library, with its own threads; it holds the arrays that C reads."""

    def __init__(
        self, library: Library, fields: ModelFields, arrays: Arrays, threads: int, longest: int
    ) -> None:
        self._library, self._fields, self._longest = library, fields, longest
        self._arrays = _contiguous(arrays, fields.layers)
        self._layers = (_Layer * fields.layers)(*(self._layer(depth) for depth in range(fields.layers)))
        self._model = self._model_structure()
        self._handle = library.functions.encoder_open(ctypes.byref(self._model), threads, longest)
        if not self._handle:
            raise DeviceError(
                f"could not start {threads} threads with memory for sequences of {longest} tokens.",
                where="native-int8",
                remedy="Use fewer threads, or a smaller maximum length.",
            )

    def answer(self, sequences: Sequence[EncodedSequence]) -> Logits:
        """Return logits [sequences, labels], float32, in the checkpoint's order of labels.

        DataError for a sequence that would make C read beyond the end of an array.
        """
        count, fields = len(sequences), self._fields
        logits, scratch = np.empty((count, fields.labels), np.float32), np.empty(2 * count + 1, np.int64)
        if not count:
            return logits
        if self._handle is None:
            raise DeviceError("the compiled encoder is closed.", where="native-int8")
        call = call_arrays(sequences, fields.spans)
        if call is None:
            raise self._invalid_sequence()
        arrays = (call.ids, call.segments, call.offsets, call.spans, logits, scratch)
        if not self._library.functions.encoder_answer(self._handle, count, *map(_address, arrays)):
            raise self._invalid_sequence()
        return logits

    def _invalid_sequence(self) -> DataError:
        words, segments = len(self._arrays["words"]), max(2, self._fields.segments)
        return DataError(
            f"a sequence is not valid: expected 1 to {self._longest} tokens, ids below {words}, "
            f"a segment for each below {segments}, and {self._fields.spans} spans of tokens within.",
            where="native-int8",
            remedy="Encode it with the checkpoint's own tokenizer, or raise the maximum length.",
        )

    def ticks(self) -> npt.NDArray[np.uint64]:
        """Return the clock ticks of all threads since the engine was opened, in the order of `CLASSES`."""
        ticks = np.zeros(len(CLASSES), np.uint64)
        self._library.functions.encoder_ticks(self._handle, ticks.ctypes.data)
        return ticks

    def close(self) -> None:
        """End the threads and free the memory that C allocated."""
        self._library.functions.encoder_close(self._handle)
        self._handle = None

    def _model_structure(self) -> _Model:
        fields, address = self._fields, self._address
        return _Model(
            *(fields.layers, fields.hidden, fields.labels, fields.dense_outputs, fields.dense_activation),
            *(fields.spans, fields.segments, len(self._arrays["words"]), fields.epsilon),
            *map(address, ("words", "positions", "types", "embeddings.gain", "embeddings.shift")),
            *map(address, ("dense", "dense_bias", "label", "label_bias")),
            self._layers,
        )

    def _layer(self, depth: int) -> _Layer:
        fields, layer = self._fields, f"layer.{depth}"
        inner, ffn = fields.heads[depth] * fields.head_size, fields.ffn[depth]
        sizes = {
            **dict.fromkeys(("query", "key", "value"), (fields.hidden, inner)),
            "out": (inner, fields.hidden),
            "up": (fields.hidden, ffn),
            "down": (ffn, fields.hidden),
        }
        linears = [
            _Linear(*size, *(self._address(f"{layer}.{name}.{array}") for array in _LINEAR_ARRAYS))
            for name, size in sizes.items()
        ]
        norms = [
            (_POINTER * 2)(*(self._address(f"{layer}.norm.{index}.{array}") for index in (0, 1)))
            for array in ("gain", "shift")
        ]
        return _Layer(fields.heads[depth], fields.head_size, fields.activation, *linears, *norms)

    def _address(self, name: str) -> int | None:
        return _address(self._arrays.get(name))


def _address(array: npt.NDArray[Any] | None) -> int | None:
    """Return the address of an array; `ndarray.ctypes.data` is the same, and takes several times as long."""
    if array is None or not array.size:
        return None
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer


def _contiguous(arrays: Arrays, layers: int) -> dict[str, npt.NDArray[Any]]:
    """Return copies in one block of memory, weights in the order in which the layers read them.

    While one panel of weights is multiplied, C prefetches the memory behind it, where the next panel has to
    be. Each array begins at a cache line, and a line of zeros follows it.
    """
    weights = [f"layer.{depth}.{linear}.weights" for depth in range(layers) for linear in _LINEAR_MAPS]
    names = [*weights, *(name for name in arrays if name not in set(weights))]
    sizes = [_padded_size(arrays[name].nbytes) for name in names]
    ends = np.cumsum(sizes)
    memory = _allocate(int(ends[-1]))
    starts = (ends - sizes).tolist()
    return {name: _copied(arrays[name], memory[start:]) for name, start in zip(names, starts, strict=True)}


def _padded_size(size: int) -> int:
    return (size + 2 * _LINE - 1) // _LINE * _LINE


def _allocate(size: int) -> npt.NDArray[np.uint8]:
    """Return zeros from the start of a page, on large pages where the system has them.

    Weights would fill thousands of small pages, more than the processor's cache of addresses (TLB) holds.
    """
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


def _copied(array: npt.NDArray[Any], memory: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    copy = memory[: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def library_facts(library: Library, level_lost: str) -> Mapping[str, Any]:
    """Return the fields of a manifest that describe a library."""
    layout = library.layout
    return {
        "dot_product": library.dot,
        "vector_bits": 8 * layout.vector_bytes,
        "activation_levels": layout.activation_max + 1,
        "weight_levels": 2 * layout.weight_max + 1,
        **({"lost": level_lost} if level_lost else {}),
    }
