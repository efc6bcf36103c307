import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimized.parallel.shared_call import KEPT_BYTES, LEAST_BYTES, SharedCall


@pytest.fixture
def sheet() -> Iterator[SharedCall]:
    """Give a sheet as a pool has it."""
    made = SharedCall.new()
    yield made
    made.close()


def test_chunks_are_taken_in_order_and_their_answers_stand_in_their_places(sheet: SharedCall) -> None:
    """Whoever takes them; the bytes are those that were put down."""
    bodies = [b"first", b"", b"third one"]
    sheet.lay_out(1, bodies, [8, 0, 8])
    assert sheet.asked() == 1
    for place, body in ((0, b"first"), (1, b""), (0, b"third one")):
        chunk = sheet.take(place)
        assert chunk is not None
        assert sheet.body(chunk) == body
        assert sheet.held_by(place) == chunk
        assert sheet.write(chunk, body[:4])
        sheet.finish(chunk, place)
    assert sheet.take(0) is None
    assert sheet.unfinished == 0
    assert [sheet.answer(chunk) for chunk in range(3)] == [b"firs", b"", b"thir"]


def test_an_answer_without_room_is_not_written(sheet: SharedCall) -> None:
    """It goes another way, and its neighbour is as it was."""
    sheet.lay_out(0, [b"a", b"b"], [4, 4])
    assert sheet.write(1, b"next")
    assert not sheet.write(0, b"five.")
    assert sheet.answer(0) is None
    assert sheet.answer(1) == b"next"


def test_a_call_that_is_stopped_gives_nothing_more(sheet: SharedCall) -> None:
    """Until the next one is put down."""
    sheet.lay_out(0, [b"a", b"b"], [4, 4])
    assert sheet.take(0) == 0
    sheet.stop()
    assert sheet.take(0) is None
    sheet.lay_out(0, [b"c"], [4])
    assert sheet.take(1) == 0


def test_a_sheet_grows_for_a_large_call_and_gives_the_memory_back(sheet: SharedCall) -> None:
    """An instance that mapped the small one sees the large one at the next call."""
    there = SharedCall(os.dup(sheet.descriptor))
    assert os.fstat(sheet.descriptor).st_size == LEAST_BYTES
    large = bytes(range(256)) * (KEPT_BYTES // 128)
    sheet.lay_out(0, [large, b"small"], [10, 10])
    assert os.fstat(sheet.descriptor).st_size > len(large)
    assert there.asked() == 0
    assert there.take(3) == 0
    assert there.body(0) == large
    assert there.write(0, b"seen")
    there.finish(0, 3)
    assert (sheet.answer(0), sheet.unfinished, sheet.answered_by(3)) == (b"seen", 1, True)
    sheet.trim()
    assert os.fstat(sheet.descriptor).st_size == KEPT_BYTES
    sheet.lay_out(0, [b"again"], [10])
    assert there.asked() == 0
    assert there.body(0) == b"again"
    there.close()


def dies_with_the_lock(descriptor: int) -> None:
    import fcntl

    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_in_the_middle_of_taking_blocks_nobody(sheet: SharedCall) -> None:
    """The kernel lets go of its lock."""
    sheet.lay_out(0, [b"a"], [4])
    process = multiprocessing.get_context("fork").Process(target=dies_with_the_lock, args=(sheet.descriptor,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert sheet.take(0) == 0


def test_a_sheet_has_no_name_to_leave_behind(sheet: SharedCall) -> None:
    """Nothing lies in a file system that the last process could forget to remove."""
    assert "(deleted)" in str(Path(f"/proc/self/fd/{sheet.descriptor}").readlink())
    assert os.fstat(sheet.descriptor).st_nlink == 0
