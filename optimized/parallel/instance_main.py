"""The process of one pool instance: it loads a variant on its own CPUs and answers chunks in shared memory.

    python -P -m optimized.parallel.instance_main ARGUMENTS

It is pinned before any library loads, so that thread pools see its CPUs only. It dies with its parent, even
while it is stopped, and it stays in the parent's process group, so that a signal to the group reaches all.
Between calls it sleeps in a read. Woken for a slot, it takes and answers chunks until none is left.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.systems.interface import System
    from optimized.parallel.framing import ErrorFields, Message
    from optimized.parallel.shared_call import SharedCall

_PR_SET_PDEATHSIG = 1  # from Linux's prctl(2): the signal this process gets when its parent dies
_READ_BYTES = 1 << 16

PREDICT, ENCODE = range(2)
"""The kinds of call in a slot."""


def main() -> None:
    """Serve the pipes whose descriptors are on the command line, with parent, CPUs, slots and own index."""
    arguments = json.loads(sys.argv[1])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != arguments["parent"]:  # it died before the call above
        os._exit(1)
    os.sched_setaffinity(0, arguments["cpus"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _serve(arguments["in"], arguments["out"], arguments["index"], arguments["slots"])


def _serve(source: int, target: int, index: int, descriptors: list[int]) -> None:
    """Answer until the parent closes its end."""
    import optimized.parallel.codec  # noqa: F401 -- now, and not while the first request waits
    from optimized.parallel.framing import MessageBuffer, encode_message
    from optimized.parallel.shared_call import SharedCall

    def send(message: "Message") -> None:
        unsent = memoryview(encode_message(message))
        while unsent:
            unsent = unsent[os.write(target, unsent) :]

    slots = [SharedCall(descriptor) for descriptor in descriptors]
    messages, server = MessageBuffer(), InstanceServer()
    while received := os.read(source, _READ_BYTES):
        for message in messages.feed(received):
            if isinstance(message, int):
                _answer_chunks(server, slots[message], index, send)
                send(message)
                continue
            try:
                send(("ready", server.load(message[1])))
            except Exception as problem:  # noqa: BLE001 -- every failure is reported to the parent
                send(("failed", _log_error(problem)))
    server.close()


def _answer_chunks(
    server: "InstanceServer", slot: "SharedCall", index: int, send: "Callable[[Message], None]"
) -> None:
    """Take and answer chunks until none is left, or one fails."""
    answer = server.predict if slot.open_call() == PREDICT else server.encode
    chunk = slot.take(index)
    while chunk is not None:
        try:
            data = answer(slot.payload(chunk))
        except Exception as problem:  # noqa: BLE001 -- every failure is reported to the parent
            slot.stop()
            send(("failed", _log_error(problem)))
            return
        if not slot.write_answer(chunk, data):
            send(("spilled", (chunk, data)))
        slot.finish(chunk, index)
        chunk = slot.take(index) if slot.has_more else None


def _log_error(problem: Exception) -> "ErrorFields":
    """Write the traceback to the log, and return the fields for the parent."""
    import traceback

    from optimized.parallel.framing import error_fields

    traceback.print_exception(problem)
    return error_fields(problem)


class InstanceServer:
    """A system whose requests and answers are bytes."""

    def __init__(self) -> None:
        self._system: System | None = None

    def load(self, config: "JsonObject") -> "JsonObject":
        """Load the configured variant; return the system's description and encoding."""
        from importlib import import_module
        from pathlib import Path

        from harness.systems.interface import Artifact, Placement, Settings
        from harness.workload.tasks import resolve_task

        module, _, function = config["loader"].partition(":")
        variant = getattr(import_module(module), function)(config["variant"])
        folder, key, manifest = config["artifact"]
        system: System = variant.load(
            resolve_task(config["task"]),
            Artifact(Path(folder), key, manifest),
            Placement(**config["placement"]),
            Settings(**config["settings"]),
        )
        self._system = system
        return {"describe": dict(system.describe()), "encoding": getattr(system, "encoding", "")}

    def encode(self, data: bytes) -> bytes:
        """Return serialised examples as serialised requests."""
        from optimized.parallel.codec import deserialise_examples, serialise_requests

        return serialise_requests(self._loaded().encode(deserialise_examples(data)))

    def predict(self, data: bytes) -> bytes:
        """Return the serialised answer to serialised requests."""
        from optimized.parallel.codec import deserialise_requests, serialise_answer

        return serialise_answer(self._loaded().predict(deserialise_requests(data)))

    def close(self) -> None:
        """Release the system."""
        if self._system:
            self._system.close()

    def _loaded(self) -> "System":
        assert self._system is not None  # the parent loads first
        return self._system


if __name__ == "__main__":
    main()
