"""One call of a pool in shared memory: chunks to take, and space for their answers.

    header | a row per chunk: state, where its bytes lie, where its answer goes | bytes ... | answers ...

The pool writes a whole call, heaviest chunk first, and wakes instances. Each takes the next chunk, writes the
answer into its place, and reports once when no chunk is left. A kernel lock on the file (fcntl(2)) guards
taking; the kernel releases it when the process that holds it dies, so a killed instance blocks no other. The
file has no name (memfd_create(2)): it goes with the last process that has it open.
"""

import fcntl
import mmap
import os
from array import array
from collections.abc import Sequence

MIN_BYTES = 1 << 16
"""Initial size of a slot: a short call fits, and its pages stay warm."""

KEPT_BYTES = 1 << 22
"""A slot that grew for a large call shrinks to this size after it."""

_SIZE, _KIND, _COUNT, _NEXT, _STOPPED = range(5)  # positions in the header
_HEADER = 8
_STATE, _PAYLOAD, _PAYLOAD_BYTES, _ANSWER, _CAPACITY, _ANSWER_BYTES = range(6)  # positions in a chunk's row
_ROW = 6
_WORD = 8
_FREE = 0
"""State of a chunk: free, or index + 1 of the instance that took it, or minus that once it is answered."""

SPILLED = -1
"""Stored as an answer's size where it did not fit and was sent through the pipe."""


class SharedCall:
    """A slot: a mapped file that holds one call at a time; instances inherit `descriptor` and map it too."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map(os.fstat(descriptor).st_size)

    @classmethod
    def new(cls) -> "SharedCall":
        """Return an empty slot in a new file."""
        descriptor = os.memfd_create("bench-pool")
        os.ftruncate(descriptor, MIN_BYTES)
        slot = cls(descriptor)
        slot._numbers[_SIZE] = MIN_BYTES
        return slot

    def close(self) -> None:
        """Unmap and close the file."""
        self._numbers.release()
        self._memory.close()
        os.close(self.descriptor)

    # called by the pool

    def write_call(self, kind: int, payloads: Sequence[bytes], capacities: Sequence[int]) -> None:
        """Write a call's chunks in the order in which instances take them, and reserve space for the answers.

        No instance may be at work on the slot. `capacities` are in bytes.
        """
        count = len(payloads)
        offset = _WORD * (_HEADER + _ROW * count)
        numbers = [0, kind, count, 0, 0, 0, 0, 0]
        for payload, capacity in zip(payloads, capacities, strict=True):
            answer = offset + _aligned(len(payload))
            numbers += (_FREE, offset, len(payload), answer, capacity, 0)
            offset = answer + _aligned(capacity)
        numbers[_SIZE] = self._grow_to(offset)
        self._numbers[: len(numbers)] = array("q", numbers)
        for chunk, payload in enumerate(payloads):
            start = numbers[_HEADER + _ROW * chunk + _PAYLOAD]
            self._memory[start : start + len(payload)] = payload

    @property
    def unanswered(self) -> int:
        """The number of chunks without an answer."""
        return sum([state >= _FREE for state in self._states()])

    def answer(self, chunk: int) -> bytes | None:
        """Return a chunk's answer; None where it was sent through the pipe."""
        row = _HEADER + _ROW * chunk
        size = self._numbers[row + _ANSWER_BYTES]
        start = self._numbers[row + _ANSWER]
        return None if size == SPILLED else self._memory[start : start + size]

    def chunk_of(self, index: int) -> int | None:
        """Return the chunk that an instance is working on, if any."""
        states = self._states()
        return states.index(index + 1) if index + 1 in states else None

    def has_answer_of(self, index: int) -> bool:
        """Return whether an instance has answered a chunk of this call."""
        return -index - 1 in self._states()

    def reclaim(self, index: int) -> int | None:
        """Free the chunk that a dead instance was working on, to be taken next; return it, if any."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            chunk = self.chunk_of(index)
            if chunk is not None:
                self._numbers[_HEADER + _ROW * chunk] = _FREE
                self._numbers[_NEXT] = min(self._numbers[_NEXT], chunk)
            return chunk
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def trim(self) -> None:
        """Release memory that only a large call needed."""
        if self._numbers[_SIZE] > KEPT_BYTES:
            self._set_size(KEPT_BYTES)

    # called by an instance

    def open_call(self) -> int:
        """Map the current call, whose slot may have been resized; return its kind."""
        if self._numbers[_SIZE] != len(self._memory):
            self._map(self._numbers[_SIZE])
        return self._numbers[_KIND]

    def take(self, index: int) -> int | None:
        """Take the next free chunk; None if there is none, or the call was stopped."""
        numbers = self._numbers
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            if numbers[_STOPPED]:
                return None
            for chunk in range(numbers[_NEXT], numbers[_COUNT]):
                if numbers[_HEADER + _ROW * chunk] == _FREE:
                    # in this order: an instance that dies in between has taken it, and the next searches on
                    numbers[_HEADER + _ROW * chunk] = index + 1
                    numbers[_NEXT] = chunk + 1
                    return chunk
            return None
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    @property
    def has_more(self) -> bool:
        """Whether a chunk may be left; for a reclaimed chunk the pool wakes an instance."""
        return self._numbers[_NEXT] < self._numbers[_COUNT]

    def payload(self, chunk: int) -> bytes:
        """Return a copy of a chunk's bytes."""
        row = _HEADER + _ROW * chunk
        start = self._numbers[row + _PAYLOAD]
        return self._memory[start : start + self._numbers[row + _PAYLOAD_BYTES]]

    def write_answer(self, chunk: int, data: bytes) -> bool:
        """Write a chunk's answer; False, and nothing written, where it exceeds its capacity."""
        row = _HEADER + _ROW * chunk
        if len(data) > self._numbers[row + _CAPACITY]:
            self._numbers[row + _ANSWER_BYTES] = SPILLED
            return False
        start = self._numbers[row + _ANSWER]
        self._memory[start : start + len(data)] = data
        self._numbers[row + _ANSWER_BYTES] = len(data)
        return True

    def finish(self, chunk: int, index: int) -> None:
        """Mark a chunk as answered."""
        self._numbers[_HEADER + _ROW * chunk] = -index - 1

    def stop(self) -> None:
        """Let no instance take another chunk of this call."""
        self._numbers[_STOPPED] = 1

    def _states(self) -> list[int]:
        states: list[int] = self._numbers[_HEADER : _HEADER + _ROW * self._numbers[_COUNT] : _ROW].tolist()
        return states

    def _grow_to(self, size: int) -> int:
        """Enlarge the slot to hold at least `size` bytes; return its size."""
        if size > self._numbers[_SIZE]:
            self._set_size(-(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
        return self._numbers[_SIZE]

    def _set_size(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self._map(size)
        self._numbers[_SIZE] = size

    def _map(self, size: int) -> None:
        self._memory = mmap.mmap(self.descriptor, size)
        self._numbers = memoryview(self._memory).cast("q")


def _aligned(size: int) -> int:
    return -(-size // _WORD) * _WORD
