"""A call in memory that a pool shares with its instances: chunks to take, and room for their answers.

    head | a row for each chunk: state, where its bytes lie, where its answer goes | bytes ... | answers ...

The pool lays a whole call out, heaviest chunk first, and rings; instances take the next chunk by themselves,
write the answer into its place, and ring back once when nothing is left to take. Taking is guarded by a lock
of the kernel's on the file (fcntl(2)), which goes with the process that holds it: one that is killed in the
middle blocks nobody. The file has no name (memfd_create(2)): it goes with the last process that has it open.
"""

import fcntl
import mmap
import os
from array import array
from collections.abc import Sequence

LEAST_BYTES = 1 << 16
"""As large as a sheet is at first: a short call fits, and its pages stay warm."""

KEPT_BYTES = 1 << 22
"""A sheet that had to be larger for one call gives the rest back after it."""

_SIZE, _KIND, _COUNT, _NEXT, _STOPPED = range(5)  # words of the head
_HEAD = 8
_STATE, _BODY, _BODY_BYTES, _ROOM, _ROOM_BYTES, _SAID_BYTES = range(6)  # words of a chunk's row
_ROW = 6
_WORD = 8
_FREE = 0
"""State of a chunk: free, or place + 1 of the instance that has it, or minus that once it is answered."""

ELSEWHERE = -1
"""In place of an answer's size: it did not fit, and came by the pipe."""


class SharedCall:
    """One such file, mapped; `descriptor` is inherited by instances, which map it as well."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map(os.fstat(descriptor).st_size)

    @classmethod
    def new(cls) -> "SharedCall":
        """Return an empty sheet of a pool's own."""
        descriptor = os.memfd_create("bench-pool")
        os.ftruncate(descriptor, LEAST_BYTES)
        sheet = cls(descriptor)
        sheet._words[_SIZE] = LEAST_BYTES
        return sheet

    def close(self) -> None:
        """Let go of the file."""
        self._words.release()
        self._map_.close()
        os.close(self.descriptor)

    # what the pool does

    def lay_out(self, kind: int, bodies: Sequence[bytes], rooms: Sequence[int]) -> None:
        """Put chunks down for instances to take in this order, with so many bytes of room for each answer.

        Nobody may be at work on the sheet.
        """
        count = len(bodies)
        place = _WORD * (_HEAD + _ROW * count)
        words = [0, kind, count, 0, 0, 0, 0, 0]
        for body, room in zip(bodies, rooms, strict=True):
            answer = place + _aligned(len(body))
            words += (_FREE, place, len(body), answer, room, 0)
            place = answer + _aligned(room)
        words[_SIZE] = self._at_least(place)
        self._words[: len(words)] = array("q", words)
        for chunk, body in enumerate(bodies):
            start = words[_HEAD + _ROW * chunk + _BODY]
            self._map_[start : start + len(body)] = body

    @property
    def unfinished(self) -> int:
        """Chunks that are not answered yet."""
        return sum([state >= _FREE for state in self._states()])

    def answer(self, chunk: int) -> bytes | None:
        """Return a chunk's answer; None where it came by the pipe."""
        row = _HEAD + _ROW * chunk
        size = self._words[row + _SAID_BYTES]
        start = self._words[row + _ROOM]
        return None if size == ELSEWHERE else self._map_[start : start + size]

    def held_by(self, place: int) -> int | None:
        """Return the chunk that an instance has at hand, if any."""
        states = self._states()
        return states.index(place + 1) if place + 1 in states else None

    def answered_by(self, place: int) -> bool:
        """Say whether an instance has answered anything on this sheet."""
        return -place - 1 in self._states()

    def take_back(self, place: int) -> int | None:
        """Free the chunk that a dead instance had at hand, to be taken next; return it, if there is one."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            chunk = self.held_by(place)
            if chunk is not None:
                self._words[_HEAD + _ROW * chunk] = _FREE
                self._words[_NEXT] = min(self._words[_NEXT], chunk)
            return chunk
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def trim(self) -> None:
        """Give memory back that only a large call needed."""
        if self._words[_SIZE] > KEPT_BYTES:
            self._set_size(KEPT_BYTES)

    # what an instance does

    def asked(self) -> int:
        """Look at the call that lies here now; return what is asked, as the pool wrote it."""
        if self._words[_SIZE] != len(self._map_):
            self._map(self._words[_SIZE])
        return self._words[_KIND]

    def take(self, place: int) -> int | None:
        """Take the next free chunk; None if there is none, or the call was stopped."""
        words = self._words
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            if words[_STOPPED]:
                return None
            for chunk in range(words[_NEXT], words[_COUNT]):
                if words[_HEAD + _ROW * chunk] == _FREE:
                    # in this order: who dies in between has taken it, and the next one looks further
                    words[_HEAD + _ROW * chunk] = place + 1
                    words[_NEXT] = chunk + 1
                    return chunk
            return None
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    @property
    def more(self) -> bool:
        """Whether it is worth to try again; what comes back from the dead is rung for."""
        return self._words[_NEXT] < self._words[_COUNT]

    def body(self, chunk: int) -> bytes:
        """Return the bytes of a chunk, copied."""
        row = _HEAD + _ROW * chunk
        start = self._words[row + _BODY]
        return self._map_[start : start + self._words[row + _BODY_BYTES]]

    def write(self, chunk: int, said: bytes) -> bool:
        """Write a chunk's answer; False, and nothing written, where it has no room."""
        row = _HEAD + _ROW * chunk
        if len(said) > self._words[row + _ROOM_BYTES]:
            self._words[row + _SAID_BYTES] = ELSEWHERE
            return False
        start = self._words[row + _ROOM]
        self._map_[start : start + len(said)] = said
        self._words[row + _SAID_BYTES] = len(said)
        return True

    def finish(self, chunk: int, place: int) -> None:
        """Mark a chunk as answered."""
        self._words[_HEAD + _ROW * chunk] = -place - 1

    def stop(self) -> None:
        """Let nobody take any more of this call."""
        self._words[_STOPPED] = 1

    def _states(self) -> list[int]:
        states: list[int] = self._words[_HEAD : _HEAD + _ROW * self._words[_COUNT] : _ROW].tolist()
        return states

    def _at_least(self, needed: int) -> int:
        """Make the sheet as large as it must be; return its size."""
        if needed > self._words[_SIZE]:
            self._set_size(-(-needed // mmap.PAGESIZE) * mmap.PAGESIZE)
        return self._words[_SIZE]

    def _set_size(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        self._map(size)
        self._words[_SIZE] = size

    def _map(self, size: int) -> None:
        self._map_ = mmap.mmap(self.descriptor, size)
        self._words = memoryview(self._map_).cast("q")


def _aligned(size: int) -> int:
    return -(-size // _WORD) * _WORD
