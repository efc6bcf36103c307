"""Unpacking an official archive: judged as a whole before a byte is written; only its data files are taken.

An archive comes from a network, possibly from a mirror that the user named, so it may neither write outside
the folder it is unpacked into nor fill the disk.
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

MOST_BYTES = 1 << 30
"""No unpacked task is larger than 1 GiB; ReCoRD, the largest, has 165 MB."""
MOST_EXPANSION = 40
"""Nor larger than this many times its archive; text of this kind packs to about a quarter."""

_DRIVE = re.compile("[A-Za-z]:")
_ENCRYPTED = 0x1
# what zipfile raises on bytes that are no archive; a disk that is full (OSError) is another matter
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError)
_REMEDY = "Nothing was unpacked. Take the archive from its official address."


def unpack(archive: Path, folder: str, into: Path) -> Path:
    """Unpack the members `<folder>/*.jsonl` below `into` and return their folder; the others are left.

    DataError where it is no zip archive, is damaged, is larger than it may be, or where any member of it,
    wanted or not, would leave its folder or is a link.
    """
    target = into / folder
    try:
        with zipfile.ZipFile(archive) as opened:
            wanted = _wanted(opened.infolist(), folder, archive)
            target.mkdir()
            for member in wanted:
                _extract(opened, member, target)
    except _DAMAGED as problem:
        raise DataError(f"not a zip archive that can be read: {problem}.", where=archive.name) from None
    return target


def _wanted(members: list[zipfile.ZipInfo], folder: str, archive: Path) -> list[zipfile.ZipInfo]:
    for member in members:
        _refuse_unsafe(member, archive.name)
    wanted = [member for member in members if _is_data(member.filename, folder)]
    if not wanted:
        raise DataError(f"holds no {folder}/*.jsonl.", where=archive.name, remedy=_REMEDY)
    if len({member.filename for member in wanted}) < len(wanted):
        raise DataError("holds two members of one name.", where=archive.name, remedy=_REMEDY)
    most = min(MOST_BYTES, MOST_EXPANSION * archive.stat().st_size)
    size = sum(member.file_size for member in members)
    if size > most:
        raise DataError(
            f"would take {size:,} bytes unpacked, more than the {most:,} allowed.",
            where=archive.name,
            remedy=_REMEDY,
        )
    return wanted


def _refuse_unsafe(member: zipfile.ZipInfo, archive: str) -> None:
    # the original name: zipfile cuts a name at its first zero byte
    name = member.orig_filename.replace("\\", "/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    outside = "\0" in name or name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name)
    if outside or kind not in (0, stat.S_IFREG, stat.S_IFDIR) or member.flag_bits & _ENCRYPTED:
        reason = "would be written outside its folder" if outside else "is a link, a device, or encrypted"
        raise DataError(f"its member {member.orig_filename!r} {reason}.", where=archive, remedy=_REMEDY)


def _is_data(name: str, folder: str) -> bool:
    place, _, file = name.partition("/")
    return place == folder and not {"/", "\\"} & set(file) and file.endswith(".jsonl")


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member; zipfile reads no more of it than the size that was judged, and checks its CRC."""
    with opened.open(member) as packed, (target / member.filename.rpartition("/")[2]).open("xb") as file:
        shutil.copyfileobj(packed, file)
        file.flush()
        os.fsync(file.fileno())
