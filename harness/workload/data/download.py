"""The explicit download of the official archives: checked, bounded, retried, in place at once or not at all.

    <url>/CB.zip --transfer--> output/.downloading-*/CB.zip --sum--> unpack --> .../CB --rename--> output/CB

Nothing else in the harness opens a connection. The archive's sha256 decides, so a mirror or a plain `http`
address is as good as the official one.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from harness.common.errors import BenchError, DataError, StoreError, UsageError
from harness.common.progress import ProgressReporter
from harness.workload.data.archives import unpack
from harness.workload.data.official import BASE_URL, OfficialTask
from harness.workload.data.transfer import KILO, BrokenTransferError, RetryPolicy, transfer

SCRATCH = ".downloading-"


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """What became of one task: `downloaded`, or `kept` because the official files were there."""

    task: str
    folder: Path
    state: Literal["downloaded", "kept"]


def split_states(task: OfficialTask, folder: Path) -> dict[str, str]:
    """Say of each split whether a folder has it: `official`, `other` or `missing`."""
    return {split: _state(task, split, folder / task.folder) for split in task.files}


def download(
    tasks: Sequence[OfficialTask],
    output: Path,
    *,
    told: ProgressReporter,
    url: str = BASE_URL,
    patience: RetryPolicy | None = None,
) -> list[DownloadResult]:
    """Bring the official files of these tasks into a folder; what is there and official is kept.

    UsageError for an address that is none, DataError where a folder has other files, a server does not
    deliver or an archive is not the official one, StoreError where the folder cannot be written.
    """
    _check_address(url)
    try:
        kept = {task.folder for task in tasks if _is_there(task, output)}
        output.mkdir(parents=True, exist_ok=True)
        _tell_leftovers(output, told)
        for task in tasks:
            if task.folder not in kept:
                _fetch(task, output, url.rstrip("/"), told, patience or RetryPolicy())
    except OSError as problem:
        raise StoreError(
            f"cannot be written or read: {problem.strerror or problem}.",
            where=str(output),
            remedy="Name a folder with free space that you may write with --output.",
        ) from None
    return [
        DownloadResult(task.name, output / task.folder, "kept" if task.folder in kept else "downloaded")
        for task in tasks
    ]


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError(
            f"{url!r} is no http or https address.",
            remedy="--url names the folder of the archives on a mirror.",
        )


def _state(task: OfficialTask, split: str, folder: Path) -> str:
    path = folder / task.file_name(split)
    try:
        return "official" if task.files[split].matches(path) else "other"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "other"


def _is_there(task: OfficialTask, output: Path) -> bool:
    """Say whether the official files are there; DataError if something else is."""
    place = output / task.folder
    if not place.exists() and not place.is_symlink():
        return False
    wrong = [
        f"{task.file_name(split)}: {state}"
        for split, state in split_states(task, output).items()
        if state != "official"
    ]
    if wrong:
        raise DataError(
            f"is there already, and its files are not the official ones ({', '.join(wrong)}).",
            where=str(place),
            remedy="It is left as it is: move it away, or name another folder with --output.",
        )
    return True


def _tell_leftovers(output: Path, told: ProgressReporter) -> None:
    for left in sorted(output.glob(f"{SCRATCH}*")):
        told.warn(f"{left}: left by a download that was killed; unless one is running, it can be deleted.")


def _fetch(task: OfficialTask, output: Path, url: str, told: ProgressReporter, patience: RetryPolicy) -> None:
    with tempfile.TemporaryDirectory(dir=output, prefix=SCRATCH) as scratch:
        archive = Path(scratch) / f"{task.folder}.zip"
        _retried(task, f"{url}/{archive.name}", archive, told, patience)
        unpacked = unpack(archive, task.folder, Path(scratch))
        lacking = [
            task.file_name(split) for split in task.files if not (unpacked / task.file_name(split)).exists()
        ]
        if lacking:
            raise DataError(f"lacks {', '.join(lacking)}.", where=archive.name)
        try:
            unpacked.rename(output / task.folder)
        except OSError:
            # another download was first; what it left is looked at like anything that was there before
            if not _is_there(task, output):
                raise


def _retried(
    task: OfficialTask, url: str, archive: Path, told: ProgressReporter, patience: RetryPolicy
) -> None:
    told.stage(f"{archive.name} in kB", max(1, task.archive_bytes // KILO))
    for attempt in range(1, patience.tries + 1):
        try:
            return transfer(task, url, archive, told, patience)
        except BrokenTransferError as problem:
            if problem.final or attempt == patience.tries:
                tries = "" if attempt == 1 else f" (try {attempt} of {patience.tries})"
                raise DataError(
                    f"could not be downloaded{tries}: {problem}.", where=_shown(url), remedy=_remedy(task)
                ) from None
            seconds = 2.0 ** (attempt - 1)
            told.warn(f"{archive.name}: {problem}; again in {seconds:.0f} s ({attempt} of {patience.tries})")
            patience.pause(seconds)
    raise BenchError("a download needs at least one try")


def _shown(url: str) -> str:
    """Return an address without the name and password it may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _remedy(task: OfficialTask) -> str:
    return (
        f"Nothing is left of it, and what was complete is kept. Try again later, name a mirror with --url, "
        f"or copy the official {task.folder} folder there by hand."
    )
