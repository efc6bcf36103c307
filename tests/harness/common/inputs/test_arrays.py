"""Archives of arrays from anywhere: what NumPy wrote, or an error; nothing is run, and little is unpacked."""

import io
import pickle
import zipfile
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.inputs.arrays import parse_arrays
from harness.common.inputs.files import InvalidText


def archive(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def of_members(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


def test_what_numpy_wrote_is_read_back() -> None:
    """Numbers, text, booleans, several dimensions in both orders, and nothing at all."""
    arrays = {
        "a": np.arange(6).reshape(2, 3),
        "b": np.asfortranarray(np.ones((3, 2), dtype=np.float32)),
        "c": np.array(["x", "long"]),
        "d": np.array([True, False]),
        "e": np.zeros((0, 4)),
        "f": np.array(3.5),
    }
    read = parse_arrays(archive(**arrays))
    assert list(read) == list(arrays)
    for name, values in arrays.items():
        assert read[name].dtype == values.dtype
        assert read[name].shape == values.shape
        assert (read[name] == values).all()


def test_a_pickle_is_never_loaded() -> None:
    """Loading one can run anything."""
    out = io.BytesIO()
    np.savez(out, a=np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidText, match=r"a\.npy holds values of type object: expected numbers or text"):
        parse_arrays(out.getvalue())
    with pytest.raises(InvalidText, match="not an archive of arrays"):
        parse_arrays(of_members({"a.npy": pickle.dumps([1])}))


def test_an_archive_that_unpacks_to_terabytes_is_refused() -> None:
    """By the sizes that it names, before anything is unpacked."""
    content = bytearray(of_members({"a.npy": b"0" * 1000}))
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (2**32 - 2).to_bytes(4, "little")
    with pytest.raises(InvalidText, match=r"not an archive of arrays|does not fit"):
        parse_arrays(bytes(content))
    many = of_members({f"{number}.npy": b"" for number in range(1001)})
    with pytest.raises(InvalidText, match="the archive has 1001 members"):
        parse_arrays(many)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [("(1000000000000000,)", "<f8"), ("(-3,)", "<f8"), ("(10,)", "<f8"), ("(1000000000000,)", "<U0")],
)
def test_a_shape_that_the_bytes_do_not_fill_is_refused(shape: str, kind: str) -> None:
    """NumPy would allocate it before it reads."""
    content = npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}", b"\0" * 24)
    with pytest.raises(InvalidText, match=r"the length of a\.npy does not fit its shape"):
        parse_arrays(of_members({"a.npy": content}))


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00\x00\x00",
        npy("{'descr': '<f8'}"),
        npy("[" * 90),
        npy("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (3,), }", b"\0" * 24),
        npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }", b"\0" * 24),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }", b"\0" * 8),
    ],
)
def test_a_damaged_member_is_refused(member: bytes) -> None:
    """A header that is cut off, not one, or of a type that no samples have."""
    with pytest.raises(InvalidText):
        parse_arrays(of_members({"a.npy": member}))


SOUND = archive(call_ns=np.arange(20), answer=np.array(["true", "false"]), counts=np.ones((3, 2)))


@given(position=st.integers(0, len(SOUND) - 1), byte=st.integers(0, 255), length=st.integers(0, len(SOUND)))
def test_any_damage_is_found_or_harmless(position: int, byte: int, length: int) -> None:
    """One byte changed, or the end cut off."""
    damaged = SOUND[:position] + bytes([byte]) + SOUND[position + 1 :]
    for payload in (damaged, SOUND[:length]):
        with suppress(InvalidText):
            parse_arrays(payload)
