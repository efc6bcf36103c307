"""One instance of a pool, a process: it loads a variant on its own CPUs and answers its parent, in order.

    python -P -m optimized.instance SOCKET PARENT CPUS

It is pinned before anything heavy is loaded, so that thread pools see their CPUs only. It dies with its
parent, also while it is stopped, and it stays in the parent's process group: who stops or ends that one means
all. Between requests it sleeps in a read.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.system import Predictions, System

_PR_SET_PDEATHSIG = 1  # from Linux's prctl(2): the signal this process gets when its parent dies
_READ_BYTES = 1 << 16


def main() -> None:
    """Serve the socket whose descriptor, with the parent's pid and the CPUs, is on the command line."""
    descriptor, parent, cpus = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)
    os.sched_setaffinity(0, cpus)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with socket.socket(fileno=descriptor) as channel:
        _serve(channel)


def _serve(channel: socket.socket) -> None:
    """Answer until the parent closes its end."""
    from optimized.frames import Inbox, failure_of, frame_of

    inbox, served = Inbox(), Served()
    while received := channel.recv(_READ_BYTES):
        for do, body in inbox.add(received):
            try:
                answer = ("ready" if do == "load" else "done", getattr(served, do)(body))
            except Exception as problem:  # noqa: BLE001 -- whatever it is, the parent must hear of it
                import traceback

                traceback.print_exc()
                answer = ("failed", failure_of(problem))
            channel.sendall(frame_of(answer))
    served.close()


class Served:
    """A system behind messages; each public method but `close` answers one kind."""

    def __init__(self) -> None:
        self._system: System | None = None

    def load(self, words: dict[str, Any]) -> dict[str, Any]:
        """Load the variant that the words mean; return what the system says of itself."""
        from importlib import import_module
        from pathlib import Path

        from harness.system import Artifact, Placement, Settings
        from harness.tasks import task_of

        module, _, function = words["loader"].partition(":")
        variant = getattr(import_module(module), function)(words["variant"])
        folder, key, manifest = words["artifact"]
        system: System = variant.load(
            task_of(words["task"]),
            Artifact(Path(folder), key, manifest),
            Placement(**words["placement"]),
            Settings(**words["settings"]),
        )
        self._system = system
        return {"describe": dict(system.describe()), "encoding": getattr(system, "encoding", "")}

    def encode(self, examples: list[Any]) -> list[Any]:
        """Return the examples as flattened requests."""
        from optimized.frames import flat

        return flat(self._loaded().encode(examples))

    def predict(self, flattened: list[Any]) -> tuple[Any, ...]:
        """Answer flattened requests: logits, answers, costs."""
        from optimized.frames import whole

        said: Predictions = self._loaded().predict(whole(flattened))
        return said.logits, said.answers, dict(said.costs)

    def close(self) -> None:
        """Release the system."""
        if self._system:
            self._system.close()

    def _loaded(self) -> "System":
        assert self._system is not None  # the parent loads first
        return self._system


if __name__ == "__main__":
    main()
