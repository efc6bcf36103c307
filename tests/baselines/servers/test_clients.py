import threading
from collections.abc import Iterator

import pytest

from baselines.servers.clients import Clients
from baselines.servers.connection import Address, ServerConnection
from harness.common.errors import MeasurementError


@pytest.fixture
def clients() -> Iterator[Clients[int]]:
    address = Address.of("http://127.0.0.1:1/")
    pool: Clients[int] = Clients([ServerConnection(address, "mine", 1.0) for _ in range(3)])
    yield pool
    pool.close()


def test_as_many_requests_are_in_flight_as_there_are_connections(clients: Clients[int]) -> None:
    """Three wait for one another, which a fourth could not; results come in order."""
    together = threading.Barrier(3)
    used: set[int] = set()

    def work(connection: ServerConnection) -> int:
        used.add(id(connection))
        return together.wait(20)

    assert sorted(clients.all_of([work] * 6)) == [0, 0, 1, 1, 2, 2]
    assert len(used) == 3


def test_answers_are_reported_one_at_a_time(clients: Clients[int]) -> None:
    """What receives them need not be safe for threads."""
    inside, overlaps, finished = threading.Lock(), [], threading.Semaphore(0)

    def done(result: int | Exception) -> None:
        overlaps.append(not inside.acquire(blocking=False))
        inside.release()
        assert result == 7
        finished.release()

    for _ in range(30):
        clients.submit(lambda _: 7, done)
    for _ in range(30):
        assert finished.acquire(timeout=20)
    assert overlaps == [False] * 30


def test_after_a_failure_what_waits_fails_at_once(clients: Clients[int]) -> None:
    """A server that hangs costs one timeout, not one for each request that waits."""
    tried: list[int] = []

    def work(number: int) -> int:
        tried.append(number)
        raise MeasurementError("it did not answer.")

    with pytest.raises(MeasurementError, match="did not answer"):
        clients.all_of([lambda _, number=number: work(number) for number in range(200)])  # type: ignore[misc]
    assert len(tried) <= 3
    with pytest.raises(MeasurementError, match="did not answer"):
        clients.all_of([lambda _: 1, lambda _: 2])


def test_one_piece_of_work_is_done_in_the_caller_s_thread(clients: Clients[int]) -> None:
    """A request at a time pays for no other thread."""
    assert clients.all_of([lambda _: threading.get_ident()]) == [threading.get_ident()]
