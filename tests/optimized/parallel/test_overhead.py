import os

from harness.systems.interface import Placement
from optimized.parallel.overhead import OverheadRow, make_requests, measure_overhead, render_table

CPUS = tuple(sorted(os.sched_getaffinity(0)))


def test_requests_have_the_requested_mean_length_and_differ() -> None:
    """Between half and one and a half times the mean."""
    lengths = [request.tokens for request in make_requests(131, 130)]
    assert (min(lengths), max(lengths), sum(lengths) / 131) == (65, 195, 130)


def test_every_mode_has_a_row() -> None:
    """One at a time, all at once, and the machine's floor, for which there is no CPU time."""
    rows = measure_overhead(4, 9, 1, Placement("cpu", (CPUS[0], CPUS[-1]), 1, 2))
    assert [(row.way, row.cpu_us is None) for row in rows] == [
        ("ping-pong of two processes", True),
        ("single-stream", False),
        ("offline", False),
    ]
    assert all(row.least_us <= row.median_us <= row.most_us for row in rows)


def test_the_table_has_a_title_and_a_line_per_mode() -> None:
    """A missing CPU time is left blank."""
    rows = [
        OverheadRow("ping-pong of two processes", 12.04, 10, 40, None),
        OverheadRow("offline", 18.2, 14.3, 116.2, 18.6),
    ]
    assert render_table(rows, "2 instances") == (
        "2 instances\n\n"
        "microseconds per request      median   least    most     CPU\n"
        "ping-pong of two processes      12.0    10.0    40.0\n"
        "offline                         18.2    14.3   116.2    18.6\n"
    )
