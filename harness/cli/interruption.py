"""What Ctrl-C, SIGTERM and SIGHUP do: the first ends a command in order, the second at once.

    while modules load    the process ends at once: nothing has begun
    while a command runs  KeyboardInterrupt: the journal is kept, workers end, scratch folders are removed
    the second signal     the process ends at once; guards end its workers and remove their scratch folders
    after half a minute   the same: a library may have swallowed the first signal

A signal that is ignored when the program starts (`nohup`) stays ignored.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

EXIT_CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
}
"""The exit code after each signal: 128 and its number, as shells count."""

SHOW_CURSOR = "\x1b[?25h"
"""The sequence that shows a terminal's cursor, which progress bars hide."""

AGAIN_S = 0.01
"""After this time an interruption that was lost is repeated."""

GRACE_S = 30.0
"""How long a command may take to end in order."""


class Interruption:
    """The signal that has arrived, or None, and whether a command runs that can end in order."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._running = False
        self._deadline: threading.Timer | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command that was interrupted."""
        return EXIT_CODES[signal.Signals(self.signal or signal.SIGINT)]

    def watch(self) -> None:
        """Handle the signals from now on; until `command` the first one ends the process at once."""
        for number in EXIT_CODES:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)
        sys.unraisablehook = self._repeat_lost

    @contextmanager
    def command(self) -> Iterator[None]:
        """While the block runs, the first signal raises KeyboardInterrupt in it."""
        self._running = True
        try:
            yield
        finally:
            self._running = False
            if self._deadline:
                self._deadline.cancel()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal is not None or not self._running:
            end_now(number)
        self.signal = number
        self._deadline = _later(GRACE_S, end_now, number)
        raise KeyboardInterrupt

    def _repeat_lost(self, lost: "UnraisableHookArgs") -> None:
        """Raise an interruption again that arrived in a destructor or a callback, where Python drops it."""
        if not issubclass(lost.exc_type, KeyboardInterrupt) or self.signal is None:
            sys.__unraisablehook__(lost)
            return
        number, self.signal = self.signal, None
        if self._deadline:
            self._deadline.cancel()
        # to the main thread, which may sleep: only a signal of its own wakes it
        _later(AGAIN_S, signal.pthread_kill, threading.main_thread().ident or 0, number)


def _later(seconds: float, function: Callable[..., object], *arguments: object) -> threading.Timer:
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()
    return timer


def end_now(number: int) -> None:
    """End this process at once, with the exit code of the signal."""
    text = "Interrupted.\n"
    with suppress(OSError):
        if os.isatty(2):
            text = SHOW_CURSOR + text
        os.write(2, text.encode())
    os._exit(EXIT_CODES[signal.Signals(number)])


INTERRUPTION = Interruption()
"""The interruption of this process."""
