import os

from harness.systems.interface import Placement
from optimized.parallel.overhead import OverheadRow, measured, rendered, requests_of

CPUS = tuple(sorted(os.sched_getaffinity(0)))


def test_requests_have_the_mean_length_that_was_asked_and_differ() -> None:
    """From half to one and a half times as many tokens, whatever the number."""
    lengths = [one.tokens for one in requests_of(131, 130)]
    assert (min(lengths), max(lengths), sum(lengths) / 131) == (65, 195, 130)


def test_every_way_to_ask_is_measured() -> None:
    """One at a time, all at once, and the machine's floor, for which there is no CPU time."""
    rows = measured(4, 9, 1, Placement("cpu", (CPUS[0], CPUS[-1]), 1, 2))
    assert [(row.way, row.cpu_us is None) for row in rows] == [
        ("ping-pong of two processes", True),
        ("single-stream", False),
        ("offline", False),
    ]
    assert all(row.least_us <= row.median_us <= row.most_us for row in rows)


def test_the_table_names_what_was_asked() -> None:
    """And leaves out what there is not."""
    rows = [
        OverheadRow("ping-pong of two processes", 12.04, 10, 40, None),
        OverheadRow("offline", 18.2, 14.3, 116.2, 18.6),
    ]
    assert rendered(rows, "2 instances") == (
        "2 instances\n\n"
        "microseconds a request        median   least    most     CPU\n"
        "ping-pong of two processes      12.0    10.0    40.0\n"
        "offline                         18.2    14.3   116.2    18.6\n"
    )
