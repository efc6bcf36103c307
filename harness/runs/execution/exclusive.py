"""The CPUs of a command, held from the moment at which its work begins until it ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from harness.measurement.machine.host_lock import OnBusy
from harness.runs.services import WorkerLauncher


@contextmanager
def cpus_held(
    machine: WorkerLauncher, on_busy: OnBusy, report: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """Yield a function that holds the CPUs when it is called first, until the end of the `with`.

    It is called after options and data are checked: bad input is refused at once, and not after waiting.
    """
    with ExitStack() as stack:
        waiting = [machine]

        def hold() -> None:
            while waiting:
                stack.enter_context(waiting.pop().hold_cpus(on_busy, report))

        yield hold
