"""Unpacks an official archive: every member is checked first, then only the data files are written.

The archive may come from a mirror that the user named. It must neither write outside the folder it is
unpacked into nor fill the disk.
"""

import lzma
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from harness.common.errors import DataError

MAX_BYTES = 1 << 30
"""Upper limit of an unpacked archive, 1 GiB. The largest, ReCoRD, has 165 MB."""
MAX_EXPANSION = 40
"""Upper limit of unpacked bytes per archive byte. Text of this kind packs to about a quarter."""

_DRIVE = re.compile("[A-Za-z]:")
_ENCRYPTED = 0x1
# what zipfile raises on damaged bytes; a full disk raises OSError, which the caller handles
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError)
_REMEDY = "Nothing was unpacked. Download the archive from its official address."


def unpack(archive: Path, folder: str, into: Path) -> Path:
    """Unpack the members `<folder>/*.jsonl` below `into`, and return their folder; others are skipped.

    Raises DataError where the archive is damaged or too large, or where any member of it, data file or not,
    is a link or would be written outside its folder.
    """
    target = into / folder
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _data_members(opened.infolist(), folder, archive)
            target.mkdir()
            for member in members:
                _extract(opened, member, target)
    except _DAMAGED as error:
        raise DataError(f"not a readable zip archive: {error}.", where=archive.name) from None
    return target


def _data_members(members: list[zipfile.ZipInfo], folder: str, archive: Path) -> list[zipfile.ZipInfo]:
    for member in members:
        _check_member(member, archive.name)
    data = [member for member in members if _is_data(member.filename, folder)]
    if not data:
        raise DataError(f"the archive holds no {folder}/*.jsonl.", where=archive.name, remedy=_REMEDY)
    if len({member.filename for member in data}) < len(data):
        raise DataError("the archive holds two members of the same name.", where=archive.name, remedy=_REMEDY)
    limit = min(MAX_BYTES, MAX_EXPANSION * archive.stat().st_size)
    size = sum(member.file_size for member in members)
    if size > limit:
        raise DataError(
            f"the archive would take {size:,} bytes unpacked; at most {limit:,} are allowed.",
            where=archive.name,
            remedy=_REMEDY,
        )
    return data


def _check_member(member: zipfile.ZipInfo, archive: str) -> None:
    # the original name: zipfile cuts a name at its first zero byte
    name = member.orig_filename.replace("\\", "/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    outside = "\0" in name or name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name)
    if outside or kind not in (0, stat.S_IFREG, stat.S_IFDIR) or member.flag_bits & _ENCRYPTED:
        reason = "would be written outside its folder" if outside else "is a link, a device, or encrypted"
        raise DataError(f"the member {member.orig_filename!r} {reason}.", where=archive, remedy=_REMEDY)


def _is_data(name: str, folder: str) -> bool:
    parent, _, file = name.partition("/")
    return parent == folder and not {"/", "\\"} & set(file) and file.endswith(".jsonl")


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member. zipfile reads at most the size that was checked, and verifies the CRC."""
    try:
        packed = opened.open(member)
    except OSError as error:
        # a damaged directory of the archive, and not the disk that it is unpacked to
        raise zipfile.BadZipFile(f"{member.filename} lies outside the file ({error.strerror})") from None
    with packed, (target / member.filename.rpartition("/")[2]).open("xb") as file:
        shutil.copyfileobj(packed, file)
        file.flush()
        os.fsync(file.fileno())
