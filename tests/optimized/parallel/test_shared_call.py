import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimized.parallel.shared_call import KEPT_BYTES, MIN_BYTES, SharedCall


@pytest.fixture
def slot() -> Iterator[SharedCall]:
    """Yield an empty slot."""
    slot = SharedCall.new()
    yield slot
    slot.close()


def test_chunks_are_taken_in_order_and_answers_are_read_by_chunk(slot: SharedCall) -> None:
    """Whichever instance takes them; the bytes are those that were written."""
    payloads = [b"first", b"", b"third one"]
    slot.write_call(1, payloads, [8, 0, 8])
    assert slot.open_call() == 1
    for index, payload in ((0, b"first"), (1, b""), (0, b"third one")):
        chunk = slot.take(index)
        assert chunk is not None
        assert slot.payload(chunk) == payload
        assert slot.chunk_of(index) == chunk
        assert slot.write_answer(chunk, payload[:4])
        slot.finish(chunk, index)
    assert slot.take(0) is None
    assert slot.unanswered == 0
    assert [slot.answer(chunk) for chunk in range(3)] == [b"firs", b"", b"thir"]


def test_an_answer_above_its_capacity_is_not_written(slot: SharedCall) -> None:
    """Its neighbour is unchanged."""
    slot.write_call(0, [b"a", b"b"], [4, 4])
    assert slot.write_answer(1, b"next")
    assert not slot.write_answer(0, b"five.")
    assert slot.answer(0) is None
    assert slot.answer(1) == b"next"


def test_a_stopped_call_gives_out_no_more_chunks(slot: SharedCall) -> None:
    """Until the next call is written."""
    slot.write_call(0, [b"a", b"b"], [4, 4])
    assert slot.take(0) == 0
    slot.stop()
    assert slot.take(0) is None
    slot.write_call(0, [b"c"], [4])
    assert slot.take(1) == 0


def test_a_slot_grows_for_a_large_call_and_gives_the_memory_back(slot: SharedCall) -> None:
    """An instance that mapped the small file maps the large one at the next call."""
    instance = SharedCall(os.dup(slot.descriptor))
    assert os.fstat(slot.descriptor).st_size == MIN_BYTES
    large = bytes(range(256)) * (KEPT_BYTES // 128)
    slot.write_call(0, [large, b"small"], [10, 10])
    assert os.fstat(slot.descriptor).st_size > len(large)
    assert instance.open_call() == 0
    assert instance.take(3) == 0
    assert instance.payload(0) == large
    assert instance.write_answer(0, b"seen")
    instance.finish(0, 3)
    assert (slot.answer(0), slot.unanswered, slot.has_answer_of(3)) == (b"seen", 1, True)
    slot.trim()
    assert os.fstat(slot.descriptor).st_size == KEPT_BYTES
    slot.write_call(0, [b"again"], [10])
    assert instance.open_call() == 0
    assert instance.payload(0) == b"again"
    instance.close()


def die_holding_the_lock(descriptor: int) -> None:
    import fcntl

    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_while_taking_blocks_no_other(slot: SharedCall) -> None:
    """The kernel releases its lock."""
    slot.write_call(0, [b"a"], [4])
    process = multiprocessing.get_context("fork").Process(
        target=die_holding_the_lock, args=(slot.descriptor,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert slot.take(0) == 0


def test_a_slot_has_no_file_name(slot: SharedCall) -> None:
    """So no file is left behind in a file system."""
    assert "(deleted)" in str(Path(f"/proc/self/fd/{slot.descriptor}").readlink())
    assert os.fstat(slot.descriptor).st_nlink == 0
