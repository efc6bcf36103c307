"""Reads NumPy arrays from an .npz archive that somebody else wrote; no pickle, no more than the limits.

    bytes --members, sizes--> headers --shapes, types--> arrays

An archive of kilobytes can unpack to terabytes, and a header can name a shape of any size, which NumPy
allocates before it reads. So sizes, shapes and types are compared with one another first.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.common.inputs.files import GIB, InvalidText, format_size

if TYPE_CHECKING:
    import numpy as np

MAX_UNPACKED = 4 * GIB
"""The most bytes that the arrays of one archive may have together."""

MAX_ARRAYS = 1000
"""The most arrays that one archive may have."""

MAX_HEADER = 10_000
"""The most characters that the header of one array may have: NumPy's own limit."""


def parse_arrays(payload: bytes) -> "Mapping[str, np.ndarray[Any, Any]]":
    """Return the arrays of an .npz archive; InvalidText where it is damaged, too large, or holds objects."""
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            members = archive.infolist()
            _check_sizes(members, len(payload))
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except InvalidText:
        raise
    except Exception as problem:  # noqa: BLE001 -- zipfile and NumPy name a dozen classes, and raise others
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise InvalidText(f"not an archive of arrays ({reason})") from None


def _check_sizes(members: list[zipfile.ZipInfo], packed: int) -> None:
    names = [member.filename for member in members]
    if len(names) > MAX_ARRAYS or len(set(names)) < len(names):
        raise InvalidText(f"the archive has {len(names)} members, with more than {MAX_ARRAYS} or equal names")
    if (unpacked := sum(member.file_size for member in members)) > MAX_UNPACKED:
        raise InvalidText(
            f"{packed} bytes unpack to {format_size(unpacked)}, more than {format_size(MAX_UNPACKED)}"
        )


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> "np.ndarray[Any, Any]":
    import numpy as np

    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise InvalidText(f"{member.filename} has version {version} of the format")
        shape, fortran_order, dtype = read_header(file, max_header_size=MAX_HEADER)
        if dtype.hasobject or dtype.kind not in "biufU":
            raise InvalidText(f"{member.filename} holds values of type {dtype}: expected numbers or text")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or dtype.itemsize == 0 or size != member.file_size - file.tell():
            raise InvalidText(f"the length of {member.filename} does not fit its shape")
        values = np.frombuffer(bytearray(file.read()), dtype=dtype) if size else np.zeros(0, dtype=dtype)
        return values.reshape(shape, order="F" if fortran_order else "C")
