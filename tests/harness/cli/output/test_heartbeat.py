import math
import threading

from harness.cli.output.heartbeat import Heartbeat


def test_a_heartbeat_beats_until_it_is_stopped_and_its_thread_is_gone_then() -> None:
    """Three beats arrive, however long that takes; after `stop` there is no thread."""
    beats = threading.Semaphore(0)
    heartbeat = Heartbeat(beats.release)
    heartbeat.start(0.001)
    for _ in range(3):
        assert beats.acquire(timeout=60)
    assert heartbeat.running
    heartbeat.stop()
    assert not heartbeat.running
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_an_endless_period_starts_no_thread_and_ends_the_one_before() -> None:
    """So that a timed stage has none."""
    heartbeat = Heartbeat(lambda: None)
    heartbeat.start(1000.0)
    heartbeat.start(math.inf)
    assert not heartbeat.running
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
