"""Downloads from a server on this machine that serves well, badly, slowly or with ill will."""

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
    serving,
    stalling,
    status,
    task_of,
    zipped,
)
from worlds import Heard

from harness.common.errors import BenchError, DataError, StoreError, UsageError
from harness.workload.data import download as module
from harness.workload.data.archives import unpack
from harness.workload.data.download import DownloadResult, download, split_states
from harness.workload.data.official import OFFICIAL, OfficialTask
from harness.workload.data.transfer import RetryPolicy

GOOD = zipped(FILES)
WRONG = "what the server sent is not the official archive"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow this machine, in place of the fixture that refuses all."""
    allow_loopback(monkeypatch)


class Waits:
    """What was waited between tries, without waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def patience(self, *, stall_seconds: float = 20.0) -> RetryPolicy:
        return RetryPolicy(stall_seconds=stall_seconds, pause=self.seconds.append)


def fetch(
    output: Path, server: Server, task: OfficialTask | None = None, waits: Waits | None = None
) -> list[DownloadResult]:
    patience = (waits or Waits()).patience()
    return download([task or task_of(GOOD)], output, told=Heard(), url=server.url, patience=patience)


def refused(
    output: Path, *answers: Answer, task: OfficialTask | None = None, stall_seconds: float = 20.0
) -> str:
    """Return why nothing was downloaded, having seen that nothing is there."""
    waits = Waits()
    with serving(*answers) as server, pytest.raises(DataError) as caught:
        download(
            [task or task_of(GOOD)],
            output,
            told=Heard(),
            url=server.url,
            patience=waits.patience(stall_seconds=stall_seconds),
        )
    assert list(output.iterdir()) == []
    return f"{len(server.asked)}: {caught.value.message}"


def test_a_good_archive_is_unpacked_in_its_place(tmp_path: Path) -> None:
    """Three files with their bytes, and nothing else: no archive, no folder of the work in between."""
    with serving(body(GOOD)) as server:
        assert fetch(tmp_path / "new" / "data", server) == [
            DownloadResult("cb", tmp_path / "new/data/CB", "downloaded")
        ]
    found = {
        str(path.relative_to(tmp_path / "new" / "data")) for path in (tmp_path / "new/data").rglob("*.*")
    }
    assert found == set(FILES)
    assert all((tmp_path / "new" / "data" / name).read_bytes() == content for name, content in FILES.items())
    assert split_states(task_of(GOOD), tmp_path / "new" / "data") == dict.fromkeys(
        ("train", "val", "test"), "official"
    )


def test_official_files_that_are_there_are_kept_without_asking(tmp_path: Path) -> None:
    """The second time the server hears nothing."""
    with serving(body(GOOD)) as server:
        fetch(tmp_path, server)
        (again,) = fetch(tmp_path, server)
        assert again.state == "kept"
        assert len(server.asked) == 1


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def _a_dangling_link(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "val.jsonl").unlink(), "val.jsonl: missing"),
        (lambda folder: (folder / "val.jsonl").write_bytes(ROWS), "val.jsonl: other"),
        (_a_file, "train.jsonl: other"),
        (_a_dangling_link, "train.jsonl: missing"),
    ],
)
def test_what_is_there_and_not_official_is_left_alone(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    """Before anything is asked of the server, and with the way out."""
    with serving(body(GOOD)) as server:
        fetch(tmp_path, server)
        damage(tmp_path / "CB")
        with pytest.raises(DataError, match=said) as caught:
            fetch(tmp_path, server)
        assert len(server.asked) == 1
    assert "--output" in str(caught.value)


def test_a_server_that_fails_at_first_is_asked_again(tmp_path: Path) -> None:
    """After one second, then after two; each time the user is told why."""
    waits, told = Waits(), Heard()
    with serving(status(500), body(GOOD[:50], missing=len(GOOD) - 50), body(GOOD)) as server:
        download([task_of(GOOD)], tmp_path, told=told, url=server.url, patience=waits.patience())
    assert waits.seconds == [1.0, 2.0]
    assert told.warnings[0] == "CB.zip: the server answered 500 Internal Server Error; again in 1 s (1 of 3)"
    assert told.warnings[1].startswith("CB.zip: the connection failed: ")
    assert (tmp_path / "CB" / "val.jsonl").exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(404), "1: could not be downloaded: the server answered 404 Not Found."),
        (
            status(503),
            "3: could not be downloaded (try 3 of 3): the server answered 503 Service Unavailable.",
        ),
        (body(GOOD[:-9], missing=9), "3: could not be downloaded (try 3 of 3): the connection failed"),
        (body(GOOD[:-9]), f"3: could not be downloaded (try 3 of 3): the server sent {len(GOOD) - 9}"),
        (body(GOOD + b"x"), f"1: could not be downloaded: {WRONG} (more than {len(GOOD)} bytes)."),
        (body(b"x" * len(GOOD)), f"1: could not be downloaded: {WRONG} (another sha256)."),
    ],
)
def test_a_download_that_fails_leaves_nothing(tmp_path: Path, answer: Answer, said: str) -> None:
    """Asked three times where another try may help, once where it cannot."""
    assert refused(tmp_path, answer).startswith(said)


@pytest.mark.parametrize("every_seconds", [None, 0.01])
def test_a_server_that_stalls_is_given_up(tmp_path: Path, every_seconds: float | None) -> None:
    """Whether it sends nothing more, or a byte now and then, which no timeout of a socket would notice."""
    archive = zipped({**FILES, "CB/noise.jsonl": os.urandom(100_000)})
    said = refused(
        tmp_path, stalling(archive, every_seconds=every_seconds), task=task_of(archive), stall_seconds=0.1
    )
    assert said.startswith("3: could not be downloaded (try 3 of 3): ")
    assert "stalled" in said or "connection failed" in said


def test_a_server_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    """Not in those of three libraries."""
    with serving(body(GOOD)) as server:
        url = server.url
    with pytest.raises(DataError, match="the connection failed: Connection refused") as caught:
        download([task_of(GOOD)], tmp_path, told=Heard(), url=url, patience=Waits().patience())
    assert caught.value.where == f"{url}/CB.zip"


def test_a_password_in_the_address_is_not_repeated(tmp_path: Path) -> None:
    """Messages end up in logs."""
    with serving(status(404)) as server:
        url = server.url.replace("//", "//me:secret@")
        with pytest.raises(DataError) as caught:
            download([task_of(GOOD)], tmp_path, told=Heard(), url=url, patience=Waits().patience())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "mirror", "file:///etc", "ftp://mirror/", "http://", "http://mirror:x", "http://["]
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match="no http or https address"):
        download([task_of(GOOD)], tmp_path / "new", told=Heard(), url=url)
    assert not (tmp_path / "new").exists()


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C, at a moment when part of the archive is there."""

    class Stopped(Heard):
        def step(self, done: float = 1.0) -> None:
            del done
            raise KeyboardInterrupt

    archive = zipped({**FILES, "CB/noise.jsonl": os.urandom(100_000)})
    with serving(stalling(archive)) as server, pytest.raises(KeyboardInterrupt):
        download([task_of(archive)], tmp_path, told=Stopped(), url=server.url)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_download_left_is_neither_data_nor_in_the_way(tmp_path: Path) -> None:
    """It is named, since nobody else will tidy it up."""
    (tmp_path / ".downloading-abc" / "CB").mkdir(parents=True)
    told = Heard()
    with serving(body(GOOD)) as server:
        download([task_of(GOOD)], tmp_path, told=told, url=server.url, patience=Waits().patience())
    assert [".downloading-abc" in warning for warning in told.warnings] == [True]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".downloading-abc", "CB"]


def test_of_two_downloads_at_once_the_second_keeps_what_the_first_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one finishes while this one unpacks."""

    def slowly(archive: Path, folder: str, into: Path) -> Path:
        unpack(archive, folder, tmp_path)
        return unpack(archive, folder, into)

    monkeypatch.setattr(module, "unpack", slowly)
    with serving(body(GOOD)) as server:
        fetch(tmp_path, server)
    assert [path.name for path in tmp_path.iterdir()] == ["CB"]


def test_a_folder_that_cannot_be_written_is_an_error_of_the_store(tmp_path: Path) -> None:
    """A file in its place stands for a full or read-only disk."""
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
def test_an_archive_that_would_write_elsewhere_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    """Its good members are not unpacked either."""
    (tmp_path / "data").mkdir()
    archive = zipped({**FILES, name: ROWS})
    said = refused(tmp_path / "data", body(archive), task=task_of(archive))
    assert "would be written outside its folder" in said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    """A link to a folder elsewhere, and then a file through it, is the classic."""

    def link(member: zipfile.ZipInfo) -> None:
        if member.filename == "CB/val.jsonl":
            member.external_attr = (stat.S_IFLNK | 0o777) << 16

    archive = zipped(FILES, link)
    assert "is a link" in refused(tmp_path, body(archive), task=task_of(archive))


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    """Zeros pack to a thousandth; texts do not."""
    archive = zipped({**FILES, "CB/val.jsonl": bytes(10_000_000)})
    assert "would take 10,000,140 bytes unpacked" in refused(tmp_path, body(archive), task=task_of(archive))


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    """The size in the directory is changed to 140 bytes; the checksum of what is read then differs."""
    content = os.urandom(70_000)
    archive = zipped({"CB/val.jsonl": content})
    archive = archive.replace((70_000).to_bytes(4, "little"), (140).to_bytes(4, "little"))
    assert "not a zip archive that can be read" in refused(tmp_path, body(archive), task=task_of(archive))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"<html>", GOOD[:-30], GOOD[:40] + b"????" + GOOD[44:]]
)
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    """Should the sums ever be those of a broken archive."""
    path = tmp_path / "CB.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"CB\.zip: "):
        unpack(path, "CB", tmp_path)


def test_only_the_data_files_of_the_task_are_taken(tmp_path: Path) -> None:
    """What a Mac adds, a note, a deeper folder, and another task are left."""
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
    ("files", "said"),
    [({"RTE/val.jsonl": ROWS}, "holds no CB/"), ({"CB/val.jsonl": ROWS}, "lacks train.jsonl, test.jsonl")],
)
def test_an_archive_that_lacks_files_is_refused(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    """A task is there as a whole or not at all."""
    archive = zipped(files)
    assert said in refused(tmp_path, body(archive), task=task_of(archive))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_archive_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    """Which of them is meant, readers of archives disagree about."""
    path = tmp_path / "CB.zip"
    path.write_bytes(GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("CB/val.jsonl", b"")
    with pytest.raises(DataError, match="two members of one name"):
        unpack(path, "CB", tmp_path)


def test_no_tries_at_all_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    """Nothing is claimed to be there that is not."""
    with pytest.raises(BenchError, match="at least one try"):
        download(
            [task_of(GOOD)], tmp_path, told=Heard(), url="http://127.0.0.1:1", patience=RetryPolicy(tries=0)
        )
    assert list(tmp_path.iterdir()) == []


def test_no_official_task_is_larger_than_an_archive_may_unpack_to() -> None:
    """ReCoRD, the largest: 135,976,939 + 15,236,903 + 13,637,660 bytes from 51,757,880."""
    unpacked = 135_976_939 + 15_236_903 + 13_637_660
    from harness.workload.data.archives import MOST_BYTES, MOST_EXPANSION

    assert unpacked < min(MOST_BYTES, MOST_EXPANSION * OFFICIAL["record"].archive_bytes)
