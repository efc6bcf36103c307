"""One instance of a pool, a process: it loads a variant on its own CPUs and answers what lies on sheets.

    python -P -m optimized.parallel.instance_main WORDS

It is pinned before anything heavy is loaded, so that thread pools see their CPUs only. It dies with its
parent, also while it is stopped, and it stays in the parent's process group: who stops or ends that one means
all. Between calls it sleeps in a read. Rung to a sheet, it takes and answers chunks until none is left.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.systems.interface import System
    from optimized.parallel.framing import Message
    from optimized.parallel.shared_call import SharedCall

_PR_SET_PDEATHSIG = 1  # from Linux's prctl(2): the signal this process gets when its parent dies
_READ_BYTES = 1 << 16

PREDICT, ENCODE = range(2)
"""What a sheet may ask."""


def main() -> None:
    """Serve the pipes whose descriptors, with parent, place, CPUs and sheets, are on the command line."""
    words = json.loads(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != words["parent"]:  # it died before the call above
        os._exit(1)
    os.sched_setaffinity(0, words["cpus"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    _serve(words["in"], words["out"], words["place"], words["sheets"])


def _serve(channel: int, out: int, place: int, descriptors: list[int]) -> None:
    """Answer until the parent closes its end."""
    import optimized.parallel.codec  # noqa: F401 -- now, and not while the first request waits
    from optimized.parallel.framing import Inbox, frame_of
    from optimized.parallel.shared_call import SharedCall

    def say(message: "Message") -> None:
        left = memoryview(frame_of(message))
        while left:
            left = left[os.write(out, left) :]

    sheets = [SharedCall(descriptor) for descriptor in descriptors]
    inbox, served = Inbox(), Served()
    while received := os.read(channel, _READ_BYTES):
        for message in inbox.add(received):
            if isinstance(message, int):
                _work(served, sheets[message], place, say)
                say(message)
                continue
            try:
                say(("ready", served.load(message[1])))
            except Exception as problem:  # noqa: BLE001 -- whatever it is, the parent must hear of it
                say(("failed", _told(problem)))
    served.close()


def _work(served: "Served", sheet: "SharedCall", place: int, say: "Callable[[Message], None]") -> None:
    """Take and answer chunks until none is left, or one fails."""
    answer = served.predict if sheet.asked() == PREDICT else served.encode
    chunk = sheet.take(place)
    while chunk is not None:
        try:
            said = answer(sheet.body(chunk))
        except Exception as problem:  # noqa: BLE001 -- whatever it is, the parent must hear of it
            sheet.stop()
            say(("failed", _told(problem)))
            return
        if not sheet.write(chunk, said):
            say(("spilled", (chunk, said)))
        sheet.finish(chunk, place)
        chunk = sheet.take(place) if sheet.more else None


def _told(problem: Exception) -> tuple[Any, ...]:
    """Leave the traceback in the log, and return what the parent is told."""
    import traceback

    from optimized.parallel.framing import failure_of

    traceback.print_exception(problem)
    return failure_of(problem)


class Served:
    """A system behind bytes."""

    def __init__(self) -> None:
        self._system: System | None = None

    def load(self, words: dict[str, Any]) -> dict[str, Any]:
        """Load the variant that the words mean; return what the system says of itself."""
        from importlib import import_module
        from pathlib import Path

        from harness.systems.interface import Artifact, Placement, Settings
        from harness.workload.tasks import resolve_task

        module, _, function = words["loader"].partition(":")
        variant = getattr(import_module(module), function)(words["variant"])
        folder, key, manifest = words["artifact"]
        system: System = variant.load(
            resolve_task(words["task"]),
            Artifact(Path(folder), key, manifest),
            Placement(**words["placement"]),
            Settings(**words["settings"]),
        )
        self._system = system
        return {"describe": dict(system.describe()), "encoding": getattr(system, "encoding", "")}

    def encode(self, body: bytes) -> bytes:
        """Return examples as requests."""
        from optimized.parallel.codec import examples_from, packed

        return packed(self._loaded().encode(examples_from(body)))

    def predict(self, body: bytes) -> bytes:
        """Answer requests."""
        from optimized.parallel.codec import packed_answer, unpacked

        return packed_answer(self._loaded().predict(unpacked(body)))

    def close(self) -> None:
        """Release the system."""
        if self._system:
            self._system.close()

    def _loaded(self) -> "System":
        assert self._system is not None  # the parent loads first
        return self._system


if __name__ == "__main__":
    main()
