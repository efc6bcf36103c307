"""The worker process: one session behind a socket, one JSON object a line.

It dies with its parent, also while it is stopped; it is pinned before any library loads; what libraries print
goes to its log.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, TextIO

from harness.common.processes.guard import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject


def main() -> None:
    """Serve the socket whose descriptor, with the parent's pid and the CPUs, is on the command line."""
    descriptor, parent, cpus = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    _die_with(parent)
    _adopt_orphans()
    if cpus:
        os.sched_setaffinity(0, cpus)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with socket.socket(fileno=descriptor) as channel, channel.makefile("rw", encoding="utf-8") as lines:
        channel.set_inheritable(False)  # else what the worker starts would keep it open
        _serve(lines)


def _serve(lines: TextIO) -> None:
    from harness.catalog import load_catalog
    from harness.common.json_codec import to_json
    from harness.runs.worker.messages import failure_at
    from harness.runs.worker.session import Session

    def send(message: "JsonObject") -> None:
        lines.write(json.dumps(message, allow_nan=False) + "\n")
        lines.flush()

    session = Session(load_catalog, lambda text: send({"progress": text}))
    for line in lines:
        message = json.loads(line)
        try:
            send({"done": session.handle(message)})
        except Exception as problem:  # noqa: BLE001 -- whatever it is, it is the parent's to report
            import traceback

            text = "".join(traceback.format_exception(problem))
            print(text, file=sys.stderr, flush=True)  # noqa: T201 -- into the worker's log
            send({"failed": to_json(failure_at(problem, message["do"], session.subject)), "traceback": text})


def _adopt_orphans() -> None:
    """Adopt whatever a program leaves behind, so that its CPU time is counted and it can be ended."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


if __name__ == "__main__":
    main()
