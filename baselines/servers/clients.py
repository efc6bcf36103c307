"""Several connections to one server, each with a thread: so many requests are in flight at most.

    submit(work, done) --queue--> thread with a connection --> done(result or exception), never two at once

After the first failure, work that still waits fails at once with the same error, so that a server that hangs
cannot hold the client for one timeout after the other.
"""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from baselines.servers.transport import Traffic, Transport

T = TypeVar("T")

Work = Callable[[Transport], T]
"""What is done with a connection."""

Done = Callable[[T | Exception], None]


class Clients(Generic[T]):
    """Threads that share a queue of work; they are started with the first that is submitted."""

    def __init__(self, connections: Sequence[Transport]) -> None:
        self._connections = tuple(connections)
        self._queue: SimpleQueue[tuple[Work[T], Done[T]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._reporting = threading.Lock()
        self._failure: Exception | None = None

    @property
    def first(self) -> Transport:
        """The connection for work that is done in the caller's thread."""
        return self._connections[0]

    def submit(self, work: Work[T], done: Done[T]) -> None:
        """Do the work with the next connection that is free; `done` is called from its thread."""
        if not self._threads:
            self._start()
        self._queue.put((work, done))

    def all_of(self, works: Sequence[Work[T]]) -> list[T]:
        """Do all the work, and return the results in order; raise the first failure."""
        if len(works) == 1:
            return [works[0](self.first)]
        results: list[T | Exception | None] = [None] * len(works)
        finished = threading.Semaphore(0)

        def keep(place: int) -> Done[T]:
            def done(result: T | Exception) -> None:
                results[place] = result
                finished.release()

            return done

        for place, work in enumerate(works):
            self.submit(work, keep(place))
        for _ in works:
            finished.acquire()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results  # type: ignore[return-value]

    def refresh(self) -> None:
        """Open every connection that is not open, as those are that the server closed meanwhile."""
        for connection in self._connections:
            connection.refresh()

    def traffic(self) -> list[Traffic]:
        """Return what each connection has transferred since the last call."""
        parts = [connection.traffic for connection in self._connections]
        for connection in self._connections:
            connection.traffic = Traffic()
        return parts

    def close(self) -> None:
        """End the threads, and close the connections."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for connection in self._connections:
            connection.close()

    def _start(self) -> None:
        for connection in self._connections:
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Transport) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            result = self._result(work, connection)
            with self._reporting:
                done(result)

    def _result(self, work: Work[T], connection: Transport) -> T | Exception:
        if self._failure is not None:
            return self._failure
        try:
            return work(connection)
        except Exception as problem:  # noqa: BLE001 -- whatever it is, the caller raises it
            self._failure = problem
            return problem
