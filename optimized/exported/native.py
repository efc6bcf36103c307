"""The files with which an exported folder runs the compiled encoder: library, sources, weights, structures.

    Engine --its structures, field by field--> encoder.json: offset, name, kind, value
           --its arrays--------------------->  encoder.safetensors

The structures are read through ctypes, so a field that is added to them is exported too.
"""

import ctypes
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.resources import files
from typing import Any, TypeVar

from baselines.export.engines import EngineFiles
from harness.common.errors import DeviceError
from harness.systems.interface import Artifact, Settings
from optimized.native import build
from optimized.native.engine import Engine, Library
from optimized.native.layout import Arrays, Layout, ModelFields
from optimized.native.variant import WEIGHTS

_LAYOUT_NUMBERS = 64
"""More than `encoder_layout` writes."""

Value = tuple[int, str, str, Any]
"""Offset, name, kind (a format of Python's struct, `array` or `structure`) and value of a field."""

_Target = TypeVar("_Target", int, str)

_NOTES = """
## The compiled encoder

`engine.py` calls `encoder.so`, which was compiled from `csrc/` with the options in `build.sh`. The weights
are arranged for the level `{level}` ({needs}).
`encoder.json` holds the model's structures as C declares them: offset, name, kind and value of each field;
`encoder.safetensors` holds the arrays that they point to. On a CPU without these instructions, `engine.py`
uses the best of {levels} and arranges the weights for it; a line on
stderr names the level. If `encoder.so` lacks that level, the sources are compiled,
which takes a C compiler (gcc or clang); `sh build.sh LEVEL` compiles once and for all.
Levels without VNNI multiply smaller
integers, to which the weights are then rounded once more: see how many answers are equal with `--check`.
"""


def native_engine(artifact: Artifact, settings: Settings) -> EngineFiles:
    """Return the engine of an artifact of `native-int8`."""
    from safetensors.numpy import load_file, save

    folder = artifact.folder
    library = Library(folder / build.LIBRARY, artifact.manifest["level"])
    model = ModelFields.from_manifest(artifact.manifest["numbers"])
    engine = Engine(library, model, load_file(folder / WEIGHTS), 1, settings.max_length)
    try:
        structures, arrays = engine.structures()
        description = _description(library, artifact.manifest["level"], model, structures, arrays)
        weights = save({name: array.copy() for name, array in arrays.items()})
    finally:
        engine.close()
    kernels = files("optimized.native") / "kernels"
    module = files("optimized.exported") / "engine_native.py"
    packing = files("optimized.native") / "packing.py"
    return EngineFiles(
        module=module.read_text(encoding="utf-8"),
        files={
            build.LIBRARY: folder / build.LIBRARY,
            "encoder.safetensors": weights,
            "encoder.json": json.dumps(description) + "\n",
            "packing.py": packing.read_text(encoding="utf-8"),
            "build.sh": _build_script(artifact.manifest["level"]),
            **{f"csrc/{name}": (kernels / name).read_text(encoding="utf-8") for name in build.SOURCES},
        },
        settings={"engine": "native", "model": build.LIBRARY},
        libraries=("safetensors",),
        notes=_notes(artifact.manifest["level"]),
    )


def _description(
    library: Library,
    level: str,
    model: ModelFields,
    structures: Sequence["ctypes.Structure | ctypes.Array[Any]"],
    arrays: Arrays,
) -> dict[str, Any]:
    numbers = (ctypes.c_int32 * _LAYOUT_NUMBERS)(*[-1] * _LAYOUT_NUMBERS)
    library.functions.encoder_layout(numbers)
    names = {_address(array): name for name, array in arrays.items() if array.size}
    starts = _starts(structures)
    places = {ctypes.addressof(item): start for item, start in zip(structures, starts, strict=False)}
    values = [
        value
        for item, start in zip(structures, starts, strict=False)
        for value in _values(item, start, "", names, places)
    ]
    return {
        "level": level,
        "levels": [
            {
                "name": each.name,
                "needs": sorted(each.needs),
                "options": list(each.options),
                "vector_bytes": each.vector_bytes,
            }
            for each in build.LEVELS
        ],
        "options": [*build.OPTIONS, *build.LINK_OPTIONS],
        "layout": list(numbers[: list(numbers).index(-1)]),
        "layout_names": [field.name for field in fields(Layout)],
        "labels": model.labels,
        "order": list(arrays),
        "structure_bytes": starts[-1],
        "structures": values,
    }


def _starts(structures: Sequence["ctypes.Structure | ctypes.Array[Any]"]) -> list[int]:
    """Return the offset of each structure in one piece of memory, at multiples of 8, then the whole size."""
    starts = [0]
    for item in structures:
        starts.append(starts[-1] + -(-ctypes.sizeof(item) // 8) * 8)
    return starts


def _values(
    item: Any,  # noqa: ANN401 -- any kind of ctypes
    start: int,
    name: str,
    arrays: Mapping[int, str],
    places: Mapping[int, int],
) -> Iterator[Value]:
    """Yield the fields of a structure or an array; pointers as names of arrays or offsets of structures."""
    if isinstance(item, ctypes.Structure):
        parts = [(field[0], getattr(type(item), field[0]).offset, field[1]) for field in item._fields_]
    else:
        size = ctypes.sizeof(item._type_)
        parts = [(str(index), index * size, item._type_) for index in range(len(item))]
    for part, offset, kind in parts:
        path, at = f"{name}.{part}".lstrip("."), start + offset
        value = kind.from_address(ctypes.addressof(item) + offset)
        if isinstance(value, ctypes.Structure | ctypes.Array):
            yield from _values(value, at, path, arrays, places)
        elif isinstance(value, ctypes.c_void_p):
            if value.value is not None:
                yield at, path, "array", _target(value.value, arrays, path)
        elif isinstance(value, ctypes._Pointer):  # noqa: SLF001 -- the base class of pointers has no other name
            address = ctypes.cast(value, ctypes.c_void_p).value
            if address is not None:
                yield at, path, "structure", _target(address, places, path)
        else:
            yield at, path, str(kind._type_), value.value  # type: ignore[union-attr]  # a number


def _target(address: int, targets: Mapping[int, _Target], field: str) -> _Target:
    if address not in targets:
        raise DeviceError(f"the field {field} of the encoder points to memory that has no name.")
    return targets[address]


def _address(array: Any) -> int:  # noqa: ANN401 -- of any dtype
    return int(array.ctypes.data)


def _build_script(level: str) -> str:
    cases = "\n".join(f"  {each.name}) options='{' '.join(each.options)}' ;;" for each in build.LEVELS)
    names = ", ".join(each.name for each in build.LEVELS)
    return f"""#!/bin/sh
# Compile the encoder for a level of instructions: sh build.sh [LEVEL] writes encoder-LEVEL.so.
set -e
level="${{1:-{level}}}"
cd "$(dirname "$0")"
case "$level" in
{cases}
  *) echo "expected one of {names}, got $level" >&2; exit 2 ;;
esac
symbol=$(echo "$level" | tr - _)
"${{CC:-cc}}" {" ".join((*build.OPTIONS, *build.LINK_OPTIONS))} $options "-DLEVEL=$symbol" \\
  csrc/encoder.c -o "encoder-$level.so" -lm
echo "encoder-$level.so"
"""


def _notes(level: str) -> str:
    needs = next(each.needs for each in build.LEVELS if each.name == level)
    return _NOTES.format(
        level=level, needs=", ".join(sorted(needs)), levels=", ".join(each.name for each in build.LEVELS)
    )
