import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.output.delivery import deliver_text
from harness.common.errors import UsageError

PRINT = "from harness.cli.output.streams import with_streams; import sys; sys.exit(with_streams({command}))"


def run(
    command: str, folder: Path, *, before: str = "", **options: object
) -> "subprocess.CompletedProcess[str]":
    """Run a command with the streams of the shell's redirection in `before`."""
    program = PRINT.format(command=command)
    shell = 'exec "$0" -P -c "$1" ' + before
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        ["/bin/sh", "-c", shell, sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **options,
    )


def test_a_full_device_ends_with_4_and_words(tmp_path: Path) -> None:
    """Never a bug of ours, and no second message when Python ends."""
    done = run("lambda: print('table') or 0", tmp_path, before="> /dev/full")
    assert done.returncode == 4
    assert done.stderr.startswith("bench: stdout cannot be written: No space left on device.\n")
    assert len(done.stderr.splitlines()) == 2


def test_a_closed_stdout_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Else the first file that is opened would take its number."""
    done = run("lambda: open('began', 'w') and 0", tmp_path, before=">&-")
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert done.stderr == "bench: stdout is closed.\nRedirect it instead: > FILE, or > /dev/null.\n"


@pytest.mark.parametrize("before", ["2>&-", "2> /dev/full"])
def test_messages_that_cannot_be_written_are_dropped_and_never_mixed_with_results(
    tmp_path: Path, before: str
) -> None:
    """No measurement ends because its log is full."""
    done = run(
        "lambda: print('{}') or print('progress', file=sys.stderr, flush=True) or 0", tmp_path, before=before
    )
    assert (done.returncode, done.stdout) == (0, "{}\n")


def test_a_reader_that_has_gone_ends_the_command_quietly(tmp_path: Path) -> None:
    """As `bench list | head -1`."""
    read, write = os.pipe()
    os.close(read)
    program = PRINT.format(command="lambda: [print(number) for number in range(100_000)] and 0")
    words = [sys.executable, "-P", "-c", program]
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_characters_that_stdout_lacks_are_escaped_with_a_warning(tmp_path: Path) -> None:
    """A table in latin-1 keeps what latin-1 has."""
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = run("lambda: print('\u00b1 1 \u2265 2') or 0", tmp_path, env=environment, encoding="latin-1")
    assert (done.returncode, done.stdout) == (0, "\u00b1 1 \\u2265 2\n")
    assert done.stderr.startswith("bench: stdout is iso8859-1: characters that it lacks are escaped")


def test_a_removed_working_folder_is_refused_with_words(tmp_path: Path) -> None:
    """Every relative path would fail in it."""
    folder = tmp_path / "gone"
    folder.mkdir()
    shell = 'rmdir "$PWD"; exec "$0" -P -c "$1"'
    words = ["/bin/sh", "-c", shell, sys.executable, PRINT.format(command="lambda: 0")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 2
    assert done.stderr == (
        "bench: the working folder cannot be used: No such file or directory.\n"
        "Change to a folder that exists.\n"
    )


def test_a_format_for_programs_is_refused_where_stdout_lacks_a_character(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An escaped character would be wrong data; a text for people is escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    with pytest.raises(
        UsageError, match=r"the format html has the character '≥', which stdout \(latin-1\) lacks"
    ):
        deliver_text("<p>≥</p>", None, form="html")
    deliver_text("<p>±</p>", None, form="html")
    assert raw.getvalue() == "<p>±</p>\n".encode("latin-1")
