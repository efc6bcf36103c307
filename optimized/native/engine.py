"""The compiled encoder behind ctypes: structures as C declares them, and one call that answers sequences.

    sequences --concatenated ids and segments, offsets--> encoder_answer (kernels/encoder.c) --> logits

ctypes releases the interpreter's lock while C works.
"""

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import DataError, DeviceError
from harness.systems.interface import EncodedSequence
from harness.workload.tasks.example import Logits
from optimized.native.call_arrays import call_arrays
from optimized.native.distances import Columns, position_tables
from optimized.native.layout import Arrays, Layout, ModelFields
from optimized.native.levels import symbol_of

_LINE = 64  # bytes of a cache line: arrays begin at one, so that no load of a vector crosses two

CLASSES = ("linears", "attention", "normalisation", "rounding", "rest")
"""Classes of work whose time kernels/encoder.c counts, in its order; activations are part of `linears`."""

_LINEAR_MAPS = ("query", "value", "key", "out", "up", "down")
"""Linear maps of a layer, in the order in which kernels/encoder.c reads their weights."""

_LINEAR_ARRAYS = ("weights", "scales", "scaled_sums", "bias", "factors")
"""Arrays of a linear map, as kernels/products.h declares them."""

_ENTRIES = tuple(f"encoder_{name}" for name in ("layout", "dot", "open", "ticks", "close", "answer"))

_POINTER = ctypes.c_void_p
_INT = ctypes.c_int32


class _Linear(ctypes.Structure):
    _fields_ = (
        *(("inputs", _INT), ("outputs", _INT)),
        *((name, _POINTER) for name in _LINEAR_ARRAYS),
    )


class _Int16Rows(ctypes.Structure):
    _fields_ = (("pairs", _POINTER), ("scales", _POINTER))


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _INT) for name in ("heads", "head_size", "activation", "pre_norm", "gated", "window")),
        *((name, _Linear) for name in ("query", "key", "value", "out", "up", "down")),
        *(("gain", _POINTER * 2), ("shift", _POINTER * 2), ("angles", _POINTER), ("bias", _POINTER)),
        *(("distance_keys", _Int16Rows), ("distance_queries", _Int16Rows)),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, _INT) for name in ("layers", "hidden", "labels", "dense_outputs", "dense_activation")),
        *((name, _INT) for name in ("pooling", "spans", "segments", "vocabulary", "embedding")),
        *((name, _INT) for name in ("root_norm", "distances", "no_distance")),
        ("epsilon", ctypes.c_float),
        *((name, _POINTER) for name in ("words", "positions", "types", "gain", "shift")),
        ("project", _Linear),
        *((name, _POINTER) for name in ("last_gain", "last_shift")),
        *((name, _POINTER) for name in ("dense", "dense_bias", "label", "label_bias")),
        *((name, _POINTER) for name in ("dense_gain", "dense_shift")),
        ("layer", ctypes.POINTER(_Layer)),
    )


def entry_points(path: Path, level: str) -> SimpleNamespace:
    """Return the functions of a level, by their names without the level; OSError or AttributeError."""
    library = ctypes.CDLL(str(path))
    return SimpleNamespace(**{name: getattr(library, f"{name}_{symbol_of(level)}") for name in _ENTRIES})


class Library:
    """A level of a compiled encoder.

    `layout` is the layout of its weights, `dot` its instruction for dot products.
    """

    def __init__(self, path: Path, level: str = "portable") -> None:
        try:
            self.functions = entry_points(path, level)
        except (OSError, AttributeError) as error:
            raise DeviceError(f"the compiled encoder does not load ({error}).", where=path.name) from error
        fields = (_INT * 8)()
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
        positions = len(arrays.get("positions", ())) or longest
        if longest > positions:
            raise DeviceError(
                f"the encoder has {positions} positions, and the maximum length is {longest}.",
                where="native-int8",
                remedy=f"Use --max-length {positions}, or less.",
            )
        self._arrays = _contiguous(position_tables(fields, arrays, longest), fields)
        self._columns = Columns.for_length(longest)
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

    def structures(self) -> "tuple[list[ctypes.Structure | ctypes.Array[Any]], Arrays]":
        """Return the structures that C reads, the model first, and the arrays that they point to."""
        return [self._model, self._layers], self._arrays

    def close(self) -> None:
        """End the threads and free the memory that C allocated."""
        self._library.functions.encoder_close(self._handle)
        self._handle = None

    def _model_structure(self) -> _Model:
        fields, address = self._fields, self._address
        by_distance = fields.buckets is not None
        return _Model(
            *(fields.layers, fields.hidden, fields.labels, fields.dense_outputs, fields.dense_activation),
            *(fields.pooling, fields.spans, fields.segments, len(self._arrays["words"]), fields.embedding),
            *(fields.root_norm, self._columns.count * by_distance, self._columns.centre * by_distance),
            fields.epsilon,
            *map(address, ("words", "positions", "types", "embeddings.gain", "embeddings.shift")),
            self._linear("project", fields.embedding, fields.hidden),
            *map(address, ("last.gain", "last.shift", "dense", "dense_bias", "label", "label_bias")),
            *map(address, ("dense_norm.gain", "dense_norm.shift")),
            self._layers,
        )

    def _layer(self, depth: int) -> _Layer:
        fields, layer, address = self._fields, f"layer.{self._fields.sources[depth]}", self._address
        inner, ffn = fields.heads[depth] * fields.head_size, fields.ffn[depth]
        sizes = {
            **dict.fromkeys(("query", "key", "value"), (fields.hidden, inner)),
            "out": (inner, fields.hidden),
            "up": (fields.hidden, len(self._arrays[f"{layer}.up.bias"]) if fields.gated else ffn),
            "down": (ffn, fields.hidden),
        }
        norms = [
            (_POINTER * 2)(*(address(f"{layer}.norm.{index}.{array}") for index in (0, 1)))
            for array in ("gain", "shift")
        ]
        return _Layer(
            *(fields.heads[depth], fields.head_size, fields.activation, fields.pre_norm, fields.gated),
            fields.windows[depth],
            *(self._linear(f"{layer}.{name}", *size) for name, size in sizes.items()),
            *norms,
            address(f"rotation.{fields.rotations[depth]}.angles"),
            address("score_bias"),
            *(
                _Int16Rows(address(f"{layer}.{name}.pairs"), address(f"{layer}.{name}.scales"))
                for name in ("distance_keys", "distance_queries")
            ),
        )

    def _linear(self, name: str, inputs: int, outputs: int) -> _Linear:
        """Return a linear map; one without inputs where the model has none of this name."""
        if f"{name}.weights" not in self._arrays:
            return _Linear()
        return _Linear(inputs, outputs, *(self._address(f"{name}.{array}") for array in _LINEAR_ARRAYS))

    def _address(self, name: str) -> int | None:
        return _address(self._arrays.get(name))


def _address(array: npt.NDArray[Any] | None) -> int | None:
    """Return the address of an array; `ndarray.ctypes.data` is the same, and takes several times as long."""
    if array is None or not array.size:
        return None
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer


def _contiguous(arrays: Arrays, fields: ModelFields) -> dict[str, npt.NDArray[Any]]:
    """Return copies in one block of memory, weights in the order in which the layers read them.

    While one panel of weights is multiplied, C prefetches the memory behind it, where the next panel has to
    be. Each array begins at a cache line, and a line of zeros follows it.
    """
    layers = dict.fromkeys(fields.sources)
    weights = [f"layer.{source}.{linear}.weights" for source in layers for linear in _LINEAR_MAPS]
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
