"""Downloads from a local server that answers correctly, wrongly, slowly or maliciously."""

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from mirror import (
    FILES,
    ROWS,
    Answer,
    Server,
    allow_loopback,
    body,
    endless_headers,
    serving,
    stalling,
    status,
    task_of,
    zipped,
)
from worlds import Heard

from harness.common.errors import BenchError, DataError, StoreError, UsageError
from harness.workload.data.download import download as module
from harness.workload.data.download.archives import unpack
from harness.workload.data.download.download import DownloadResult, download, split_states
from harness.workload.data.download.transfer import RetryPolicy
from harness.workload.data.official import OFFICIAL, OfficialTask

GOOD = zipped(FILES)
WRONG = "what the server sent is not the official archive"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow connections to this machine; replaces the fixture that refuses all of them."""
    allow_loopback(monkeypatch)


class RecordedSleeps:
    """Records the sleeps between attempts, without sleeping."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def policy(self, *, stall_seconds: float = 20.0) -> RetryPolicy:
        return RetryPolicy(stall_seconds=stall_seconds, sleep=self.seconds.append)


def fetch(
    output: Path, server: Server, task: OfficialTask | None = None, sleeps: RecordedSleeps | None = None
) -> list[DownloadResult]:
    policy = (sleeps or RecordedSleeps()).policy()
    return download([task or task_of(GOOD)], output, progress=Heard(), url=server.url, policy=policy)


def refusal(
    output: Path, *answers: Answer, task: OfficialTask | None = None, stall_seconds: float = 20.0
) -> str:
    """Return the number of requests and the error message; the output folder must be empty afterwards."""
    sleeps = RecordedSleeps()
    with serving(*answers) as server, pytest.raises(DataError) as caught:
        download(
            [task or task_of(GOOD)],
            output,
            progress=Heard(),
            url=server.url,
            policy=sleeps.policy(stall_seconds=stall_seconds),
        )
    assert list(output.iterdir()) == []
    return f"{len(server.requests)}: {caught.value.message}"


def test_a_good_archive_is_unpacked_in_its_place(tmp_path: Path) -> None:
    """Three files with their bytes, and nothing else: neither the archive nor a scratch folder."""
    with serving(body(GOOD)) as server:
        assert fetch(tmp_path / "new" / "data", server) == [
            DownloadResult("cb", tmp_path / "new/data/CB", "downloaded")
        ]
    files = {
        str(path.relative_to(tmp_path / "new" / "data")) for path in (tmp_path / "new/data").rglob("*.*")
    }
    assert files == set(FILES)
    assert all((tmp_path / "new" / "data" / name).read_bytes() == content for name, content in FILES.items())
    assert split_states(task_of(GOOD), tmp_path / "new" / "data") == dict.fromkeys(
        ("train", "val", "test"), "official"
    )


def test_official_files_that_exist_are_kept_without_a_request(tmp_path: Path) -> None:
    """The second download sends no request."""
    with serving(body(GOOD)) as server:
        fetch(tmp_path, server)
        (again,) = fetch(tmp_path, server)
        assert again.state == "kept"
        assert len(server.requests) == 1


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def _a_pipe(folder: Path) -> None:
    (folder / "val.jsonl").unlink()
    os.mkfifo(folder / "val.jsonl")


def _a_dangling_link(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "val.jsonl").unlink(), "val.jsonl: missing"),
        (lambda folder: (folder / "val.jsonl").write_bytes(ROWS), "val.jsonl: other"),
        (_a_file, "train.jsonl: other"),
        (_a_pipe, "val.jsonl: other"),
        (_a_dangling_link, "train.jsonl: missing"),
    ],
)
def test_files_that_are_not_official_are_left_alone(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    """The error comes before any request, and names the way out."""
    with serving(body(GOOD)) as server:
        fetch(tmp_path, server)
        damage(tmp_path / "CB")
        with pytest.raises(DataError, match=message) as caught:
            fetch(tmp_path, server)
        assert len(server.requests) == 1
    assert "--output" in str(caught.value)


def test_a_failed_attempt_is_repeated(tmp_path: Path) -> None:
    """After one second, then after two, each time with a warning that gives the reason."""
    sleeps, progress = RecordedSleeps(), Heard()
    with serving(status(500), body(GOOD[:50], missing=len(GOOD) - 50), body(GOOD)) as server:
        download([task_of(GOOD)], tmp_path, progress=progress, url=server.url, policy=sleeps.policy())
    assert sleeps.seconds == [1.0, 2.0]
    assert progress.warnings[0] == (
        "CB.zip: the server answered 500 Internal Server Error (attempt 1 of 3); next attempt in 1 s"
    )
    assert progress.warnings[1].startswith("CB.zip: the connection failed: ")
    assert (tmp_path / "CB" / "val.jsonl").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), "1: the download failed: the server answered 404 Not Found."),
        (
            status(503),
            "3: the download failed (attempt 3 of 3): the server answered 503 Service Unavailable.",
        ),
        (body(GOOD[:-9], missing=9), "3: the download failed (attempt 3 of 3): the connection failed"),
        (body(GOOD[:-9]), f"3: the download failed (attempt 3 of 3): the server sent {len(GOOD) - 9}"),
        (body(GOOD + b"x"), f"1: the download failed: {WRONG} (more than {len(GOOD)} bytes)."),
        (body(b"x" * len(GOOD)), f"1: the download failed: {WRONG} (another sha256)."),
    ],
)
def test_a_download_that_fails_leaves_nothing(tmp_path: Path, answer: Answer, message: str) -> None:
    """Three attempts where another may succeed, one where it cannot."""
    assert refusal(tmp_path, answer).startswith(message)


@pytest.mark.parametrize("every_seconds", [None, 0.01])
def test_a_download_that_stalls_is_given_up(tmp_path: Path, every_seconds: float | None) -> None:
    """Whether the server sends nothing more, or a byte now and then, which no socket timeout notices."""
    archive = zipped({**FILES, "CB/noise.jsonl": os.urandom(100_000)})
    message = refusal(
        tmp_path, stalling(archive, every_seconds=every_seconds), task=task_of(archive), stall_seconds=0.3
    )
    assert message.startswith("3: the download failed (attempt 3 of 3): ")
    assert "stalled" in message or "connection failed" in message


def test_headers_that_never_end_are_given_up(tmp_path: Path) -> None:
    """Progress is counted in bytes of the archive, so the deadline covers the time before the first one."""
    message = refusal(tmp_path, endless_headers, stall_seconds=0.1)
    assert message.startswith("3: the download failed (attempt 3 of 3): the server stalled")


def test_a_refused_connection_has_a_readable_message(tmp_path: Path) -> None:
    """The operating system's message, without those of the libraries in between."""
    with serving(body(GOOD)) as server:
        url = server.url
    with pytest.raises(DataError, match="the connection failed: Connection refused") as caught:
        download([task_of(GOOD)], tmp_path, progress=Heard(), url=url, policy=RecordedSleeps().policy())
    assert caught.value.where == f"{url}/CB.zip"


def test_a_password_in_the_address_is_not_repeated(tmp_path: Path) -> None:
    """Messages are logged."""
    with serving(status(404)) as server:
        url = server.url.replace("//", "//me:secret@")
        with pytest.raises(DataError) as caught:
            download([task_of(GOOD)], tmp_path, progress=Heard(), url=url, policy=RecordedSleeps().policy())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "mirror", "file:///etc", "ftp://mirror/", "http://", "http://mirror:x", "http://["]
)
def test_an_invalid_address_is_refused(tmp_path: Path, url: str) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match="not an http or https address"):
        download([task_of(GOOD)], tmp_path / "new", progress=Heard(), url=url)
    assert not (tmp_path / "new").exists()


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C when part of the archive has arrived."""

    class Stopped(Heard):
        def step(self, done: float = 1.0) -> None:
            del done
            raise KeyboardInterrupt

    archive = zipped({**FILES, "CB/noise.jsonl": os.urandom(100_000)})
    with serving(stalling(archive)) as server, pytest.raises(KeyboardInterrupt):
        download([task_of(archive)], tmp_path, progress=Stopped(), url=server.url)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_download_are_ignored_with_a_warning(tmp_path: Path) -> None:
    """Nothing else deletes them."""
    (tmp_path / ".downloading-abc" / "CB").mkdir(parents=True)
    progress = Heard()
    with serving(body(GOOD)) as server:
        download(
            [task_of(GOOD)], tmp_path, progress=progress, url=server.url, policy=RecordedSleeps().policy()
        )
    assert [".downloading-abc" in warning for warning in progress.warnings] == [True]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".downloading-abc", "CB"]


def test_the_slower_of_two_concurrent_downloads_keeps_the_files_of_the_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other download finishes while this one unpacks."""

    def unpack_twice(archive: Path, folder: str, into: Path) -> Path:
        unpack(archive, folder, tmp_path)
        return unpack(archive, folder, into)

    monkeypatch.setattr(module, "unpack", unpack_twice)
    with serving(body(GOOD)) as server:
        fetch(tmp_path, server)
    assert [path.name for path in tmp_path.iterdir()] == ["CB"]


def test_a_folder_that_cannot_be_written_raises_store_error(tmp_path: Path) -> None:
    """A file in its place represents a full or read-only disk."""
    (tmp_path / "taken").write_text("")
    with serving(body(GOOD)) as server, pytest.raises(StoreError, match="--output"):
        fetch(tmp_path / "taken", server)


EVIL = [
    "../x.jsonl",
    "CB/../../x.jsonl",
    "/tmp/x.jsonl",
    "C:x.jsonl",
    "C:\\x.jsonl",
    "..\\x.jsonl",
    "\\x.jsonl",
]


@pytest.mark.parametrize("name", EVIL)
def test_an_archive_with_a_path_outside_its_folder_is_refused_whole(tmp_path: Path, name: str) -> None:
    """Its valid members are not unpacked either."""
    (tmp_path / "data").mkdir()
    archive = zipped({**FILES, name: ROWS})
    message = refusal(tmp_path / "data", body(archive), task=task_of(archive))
    assert "would be written outside its folder" in message
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    """The usual attack: a link to another folder, then a file written through it."""

    def link(member: zipfile.ZipInfo) -> None:
        if member.filename == "CB/val.jsonl":
            member.external_attr = (stat.S_IFLNK | 0o777) << 16

    archive = zipped(FILES, link)
    assert "is a link" in refusal(tmp_path, body(archive), task=task_of(archive))


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    """Zeros compress to a thousandth; text does not."""
    archive = zipped({**FILES, "CB/val.jsonl": bytes(10_000_000)})
    assert "would take 10,000,140 bytes unpacked" in refusal(tmp_path, body(archive), task=task_of(archive))


def test_a_member_larger_than_its_declared_size_is_refused(tmp_path: Path) -> None:
    """The size in the directory is changed to 140 bytes; the checksum of what is read then differs."""
    content = os.urandom(70_000)
    archive = zipped({"CB/val.jsonl": content})
    archive = archive.replace((70_000).to_bytes(4, "little"), (140).to_bytes(4, "little"))
    assert "not a readable zip archive" in refusal(tmp_path, body(archive), task=task_of(archive))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"<html>", GOOD[:-30], GOOD[:40] + b"????" + GOOD[44:]]
)
def test_bytes_that_are_not_an_archive_are_refused(tmp_path: Path, content: bytes) -> None:
    """Also where the expected sha256 is that of a damaged archive."""
    path = tmp_path / "CB.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"CB\.zip: "):
        unpack(path, "CB", tmp_path)


def test_only_the_data_files_of_the_task_are_taken(tmp_path: Path) -> None:
    """Files that macOS adds, a note, a subfolder and another task are skipped."""
    more = [
        "__MACOSX/CB/._val.jsonl",
        "README.txt",
        "CB/notes.md",
        "CB/deep/val.jsonl",
        "RTE/val.jsonl",
        "CB/",
    ]
    archive = zipped({**FILES, **dict.fromkeys(more, b"")})
    with serving(body(archive)) as server:
        fetch(tmp_path, server, task_of(archive))
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(FILES)


@pytest.mark.parametrize(
    ("files", "message"),
    [({"RTE/val.jsonl": ROWS}, "holds no CB/"), ({"CB/val.jsonl": ROWS}, "lacks train.jsonl, test.jsonl")],
)
def test_an_archive_that_lacks_files_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    """A task is put in place whole or not at all."""
    archive = zipped(files)
    assert message in refusal(tmp_path, body(archive), task=task_of(archive))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_archive_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    """Archive readers disagree about which of the two is valid."""
    path = tmp_path / "CB.zip"
    path.write_bytes(GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("CB/val.jsonl", b"")
    with pytest.raises(DataError, match="two members of the same name"):
        unpack(path, "CB", tmp_path)


def test_a_policy_without_attempts_is_an_error_of_the_caller(tmp_path: Path) -> None:
    """The download must not report success."""
    with pytest.raises(BenchError, match="must be at least 1, got 0"):
        download(
            [task_of(GOOD)],
            tmp_path,
            progress=Heard(),
            url="http://127.0.0.1:1",
            policy=RetryPolicy(attempts=0),
        )
    assert list(tmp_path.iterdir()) == []


def test_no_official_task_is_larger_than_an_archive_may_unpack_to() -> None:
    """ReCoRD, the largest: 135,976,939 + 15,236,903 + 13,637,660 bytes from 51,757,880."""
    unpacked = 135_976_939 + 15_236_903 + 13_637_660
    from harness.workload.data.download.archives import MAX_BYTES, MAX_EXPANSION

    assert unpacked < min(MAX_BYTES, MAX_EXPANSION * OFFICIAL["record"].archive_bytes)
