"""The archive: one ZIP file with `acceptance.json` and the files of one run.

Acceptance, run folder --write_archive--> FILE.zip --read_archive--> Acceptance, {name: content}
"""

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.common.errors import DataError, StoreError
from harness.common.files import write_new
from harness.common.inputs.files import MIB, InputLimit, InvalidText, format_size, read_input
from harness.common.inputs.json_text import parse_json_object
from harness.common.model import first_problem
from harness.records.store import RunFolder
from harness.studies.acceptance.model import Acceptance

FACTS = "acceptance.json"
ARCHIVE = InputLimit("an acceptance archive", 64 * MIB)
MAX_UNPACKED, MAX_FILES = 512 * MIB, 1000
_RUN_FILE = re.compile(r"runs/([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*\.(?:json|npz))")


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """The run of an archive: its name, and the content of each of its files."""

    name: str
    files: dict[str, bytes]


def write_archive(path: Path, acceptance: Acceptance, folder: RunFolder | None) -> None:
    """Write the archive, complete or not at all; StoreError where that is not possible."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_member(FACTS), acceptance.model_dump_json(indent=1))
        for file in sorted(folder.path.iterdir()) if folder else ():
            if _RUN_FILE.fullmatch(name := f"runs/{folder.name}/{file.name}" if folder else ""):
                archive.writestr(_member(name), file.read_bytes())
    try:
        write_new(path, buffer.getvalue())
    except OSError as error:
        raise StoreError(f"the archive cannot be written: {error.strerror}.", where=str(path)) from None


def read_archive(path: Path) -> tuple[Acceptance, ArchivedRun | None]:
    """Return the contents of an archive; DataError where it is damaged, too large, or of another kind."""
    payload = read_input(path, ARCHIVE, DataError)
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            _check_members(archive.infolist())
            acceptance = Acceptance.model_validate(parse_json_object(archive.read(FACTS)))
            _check_rows(acceptance)
            return acceptance, _run(archive, acceptance)
    except InvalidText as error:
        reason = str(error)
    except ValidationError as error:
        reason = f"{FACTS}: {first_problem(error)}"
    except KeyError:
        reason = f"it holds no {FACTS}"
    except Exception as error:  # noqa: BLE001 -- zipfile and zlib name a dozen classes, and raise others
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise DataError(
        f"not an acceptance archive: {reason}.",
        where=str(path),
        remedy="`bench doctor --accept FILE.zip` writes one.",
    )


def unpack_run(run: ArchivedRun, store: Path) -> RunFolder:
    """Write an archived run into a new store, and return its folder."""
    folder = store / "runs" / run.name
    folder.mkdir(parents=True)
    for name, content in run.files.items():
        (folder / name).write_bytes(content)
    return RunFolder(folder)


def _member(name: str) -> zipfile.ZipInfo:
    """Return a member without the time and the user of its file."""
    member = zipfile.ZipInfo(name)
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return member


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(names) > MAX_FILES or len(set(names)) < len(names):
        raise InvalidText(f"it has {len(names)} files, with more than {MAX_FILES} or equal names")
    if (size := sum(member.file_size for member in members)) > MAX_UNPACKED:
        raise InvalidText(f"it unpacks to {format_size(size)}, more than {format_size(MAX_UNPACKED)}")
    if stray := [name for name in names if name != FACTS and not _RUN_FILE.fullmatch(name)]:
        raise InvalidText(f"it holds {stray[0][:80]!r}, which no archive has")


def _check_rows(acceptance: Acceptance) -> None:
    """Refuse rows of another width than the zones, or whose times do not increase."""
    for trace in acceptance.counters:
        for rows in (trace.check, *(phase.rows for phase in trace.phases)):
            times = [row[0] for row in rows]
            if any(len(row) != len(trace.zones) + 1 or row[0] is None for row in rows):
                raise InvalidText(
                    f"a row of {trace.meter} does not hold a time and {len(trace.zones)} values"
                )
            if times != sorted(times, key=lambda time: time or 0):
                raise InvalidText(f"the times of {trace.meter} do not increase")


def _run(archive: zipfile.ZipFile, acceptance: Acceptance) -> ArchivedRun | None:
    matches = [match for name in archive.namelist() if (match := _RUN_FILE.fullmatch(name))]
    if any(match[1] != acceptance.run for match in matches):
        raise InvalidText(f"it holds files of another run than {acceptance.run}")
    files = {match[2]: archive.read(match[0]) for match in matches}
    if acceptance.run is None:
        return None
    if not files:
        raise InvalidText(f"the files of run {acceptance.run} are missing")
    return ArchivedRun(acceptance.run, files)
