"""Files of any kind: only regular ones are read, and no more than the limit."""

import os
import socket
from pathlib import Path

import pytest

from harness.common.errors import BenchError, DataError, UsageError
from harness.common.inputs.files import DATA, InputLimit, InvalidText, decode_text, format_size, read_input

SMALL = InputLimit("a small file", 1024)


def refusal(path: Path, limit: InputLimit = SMALL, error: type[BenchError] = DataError) -> str:
    with pytest.raises(error) as caught:
        read_input(path, limit, error, remedy="Make one.")
    return str(caught.value)


def test_a_regular_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    """Also at exactly the limit, and through a symbolic link."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1024)
    (tmp_path / "link").symlink_to(path)
    assert (
        read_input(path, SMALL, DataError) == read_input(tmp_path / "link", SMALL, DataError) == b"x" * 1024
    )
    path.write_bytes(b"x" * 1025)
    assert "a: the file is larger than 1 KiB, the limit for a small file" in refusal(path)


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    """Opening it would wait without end."""
    os.mkfifo(tmp_path / "pipe")
    assert "pipe: expected a regular file, got a pipe.\nWrite what comes" in refusal(tmp_path / "pipe")


def test_a_device_without_an_end_is_refused() -> None:
    """`/dev/zero` as a record would fill the memory."""
    assert "/dev/zero: expected a regular file, got a device" in refusal(Path("/dev/zero"))


def test_a_folder_and_a_socket_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their kind."""
    assert "expected a regular file, got a folder" in refusal(tmp_path)
    monkeypatch.chdir(tmp_path)  # a socket's path may have about 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "expected a regular file, got a socket" in refusal(Path("socket"))


def test_a_file_that_shows_no_size_is_read_up_to_the_limit() -> None:
    """Files of the kernel have content and size 0."""
    assert b"Name" in read_input(Path("/proc/self/status"), DATA, DataError)
    limit = InputLimit("a tiny file", 3)
    assert "larger than 3 bytes, the limit for a tiny file" in refusal(Path("/proc/self/status"), limit)


def test_a_missing_file_has_the_remedy_of_the_caller(tmp_path: Path) -> None:
    """The error is of the class that the caller names."""
    assert refusal(tmp_path / "none", error=UsageError).endswith("none: there is no such file.\nMake one.")


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "file/below"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """With one message."""
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / name)


def test_bytes_of_another_encoding_name_the_first_wrong_byte() -> None:
    """Without the name of a byte order mark."""
    assert decode_text("\ufeffé".encode(), "utf-8-sig") == "é"
    with pytest.raises(InvalidText, match=r"not UTF-8 text \(byte 2\)"):
        decode_text(b"ab\xff", "utf-8-sig")


@pytest.mark.parametrize(("size", "text"), [(3, "3 bytes"), (2**18, "256 KiB"), (3 * 2**29, "1.5 GiB")])
def test_sizes_have_the_unit_that_fits(size: int, text: str) -> None:
    """In powers of 1,024."""
    assert format_size(size) == text
