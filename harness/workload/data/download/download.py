"""The download of the official archives: checked, limited, retried, and put in place whole or not at all.

    <url>/CB.zip --transfer--> output/.downloading-*/CB.zip --unpack--> .../CB --rename--> output/CB

Nothing else in the harness opens a connection. The archive's sha256 decides, so a mirror or a plain `http`
address is as good as the official one.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from harness.common.errors import BenchError, DataError, UsageError
from harness.common.progress import ProgressReporter
from harness.workload.data.download.archives import unpack
from harness.workload.data.download.transfer import KILO, BrokenTransferError, RetryPolicy, transfer
from harness.workload.data.official import BASE_URL, OfficialTask
from harness.workload.data.writing import OUTPUT_REMEDY, store_errors

SCRATCH = ".downloading-"


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """The outcome for one task: `downloaded`, or `kept` because the official files were there already."""

    task: str
    folder: Path
    state: Literal["downloaded", "kept"]


def split_states(task: OfficialTask, folder: Path) -> dict[str, str]:
    """Return for each split of a task what a data folder has of it: `official`, `other` or `missing`."""
    return {split: _split_state(task, split, folder / task.folder) for split in task.files}


def download(
    tasks: Sequence[OfficialTask],
    output: Path,
    *,
    progress: ProgressReporter,
    url: str = BASE_URL,
    policy: RetryPolicy | None = None,
) -> list[DownloadResult]:
    """Download the official files of these tasks into a folder, and keep those that are there already.

    Raises UsageError for an invalid address; DataError where the folder holds other files, the server does
    not deliver, or an archive is not the official one; StoreError where the folder cannot be written.
    """
    _check_url(url)
    with store_errors("the download cannot be written", output, OUTPUT_REMEDY):
        kept = {task.folder for task in tasks if _has_official_files(task, output)}
        output.mkdir(parents=True, exist_ok=True)
        _warn_of_leftovers(output, progress)
        for task in tasks:
            if task.folder not in kept:
                _fetch(task, output, url.rstrip("/"), progress, policy or RetryPolicy())
    return [
        DownloadResult(task.name, output / task.folder, "kept" if task.folder in kept else "downloaded")
        for task in tasks
    ]


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"not an http or https address: {url!r}.",
            remedy="--url is the address of a mirror's folder of archives, such as https://mirror/superglue.",
        )


def _split_state(task: OfficialTask, split: str, folder: Path) -> str:
    path = folder / task.file_name(split)
    if path.exists() and not path.is_file():
        return "other"  # a pipe, which opening would wait for
    try:
        return "official" if task.files[split].matches(path) else "other"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "other"


def _has_official_files(task: OfficialTask, output: Path) -> bool:
    """Return whether the task's folder exists with the official files; DataError if it holds others."""
    folder = output / task.folder
    if not folder.exists() and not folder.is_symlink():
        return False
    different = [
        f"{task.file_name(split)}: {state}"
        for split, state in split_states(task, output).items()
        if state != "official"
    ]
    if different:
        raise DataError(
            f"the folder exists, and its files are not the official ones ({', '.join(different)}).",
            where=str(folder),
            remedy="Nothing was changed. Move the folder away, or name another one with --output.",
        )
    return True


def _warn_of_leftovers(output: Path, progress: ProgressReporter) -> None:
    for path in sorted(output.glob(f"{SCRATCH}*")):
        progress.warn(f"{path}: left by an interrupted download. Delete it, unless a download is running.")


def _fetch(
    task: OfficialTask, output: Path, url: str, progress: ProgressReporter, policy: RetryPolicy
) -> None:
    with tempfile.TemporaryDirectory(dir=output, prefix=SCRATCH) as scratch:
        archive = Path(scratch) / f"{task.folder}.zip"
        _transfer_with_retries(task, f"{url}/{archive.name}", archive, progress, policy)
        unpacked = unpack(archive, task.folder, Path(scratch))
        names = [task.file_name(split) for split in task.files]
        missing = [name for name in names if not (unpacked / name).exists()]
        if missing:
            raise DataError(f"the archive lacks {', '.join(missing)}.", where=archive.name)
        try:
            unpacked.rename(output / task.folder)
        except OSError:
            # another download was faster: its files are checked like any that existed before
            if not _has_official_files(task, output):
                raise


def _transfer_with_retries(
    task: OfficialTask, url: str, archive: Path, progress: ProgressReporter, policy: RetryPolicy
) -> None:
    progress.stage(f"{archive.name} in kB", max(1, task.archive_bytes // KILO))
    for attempt in range(1, policy.attempts + 1):
        count = f"attempt {attempt} of {policy.attempts}"
        try:
            return transfer(task, url, archive, progress, policy)
        except BrokenTransferError as error:
            if error.final or attempt == policy.attempts:
                raise DataError(
                    f"the download failed{'' if attempt == 1 else f' ({count})'}: {error}.",
                    where=_without_credentials(url),
                    remedy=f"Complete tasks were kept. Try again later, name a mirror with --url, or copy "
                    f"the official folder {task.folder} there by hand.",
                ) from None
            seconds = 2.0 ** (attempt - 1)
            progress.warn(f"{archive.name}: {error} ({count}); next attempt in {seconds:.0f} s")
            policy.sleep(seconds)
    raise BenchError(f"RetryPolicy.attempts must be at least 1, got {policy.attempts}")


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
