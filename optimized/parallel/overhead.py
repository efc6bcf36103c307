"""Measures what a pool adds to a request, with instances that answer at once.

    python -m optimized.parallel.overhead [--instances 2] [--requests 256] [--tokens 130] [--rounds 21]
    [--json]

Each round answers the same requests one at a time and all at once, and plays ping-pong with another process
over pipes of the same kind. That is this machine's floor: no transport that lets both sides sleep is faster.
The null system's time without a pool is subtracted. CPU time is that of the pool's process and its instances.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from baselines.engines.null import NullSystem
from harness.common.errors import BenchError
from harness.systems.interface import Artifact, EncodedSequence, Placement, Request, Settings
from harness.workload.tasks import get_task
from optimized.parallel.pool import PoolSystem

_VARIANT = {"name": "null", "recipes": [], "engine": "null"}
_TASK = get_task("boolq")
_WARM_UP_ROUNDS = 2

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class OverheadRow:
    """Microseconds per request of one mode: median, least and most over the rounds, and CPU time."""

    way: str
    median_us: float
    least_us: float
    most_us: float
    cpu_us: float | None


def make_requests(count: int, tokens: int) -> list[Request]:
    """Return requests of one sequence each, with lengths between half and one and a half times `tokens`."""
    lengths = [max(1, tokens // 2 + (7919 * number) % (tokens + 1)) for number in range(count)]
    ids = np.arange(max(lengths), dtype=np.int32)
    return [
        Request(str(number), (EncodedSequence(ids[:length], np.zeros(length, dtype=np.int32)),))
        for number, length in enumerate(lengths)
    ]


@contextmanager
def ping_pong(cpus: Sequence[int]) -> Iterator[Callable[[], None]]:
    """Yield a function that wakes a process on these CPUs and waits for its reply: 8 bytes each way."""
    (child_in, ping), (pong, child_out) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ping)
        os.sched_setaffinity(0, cpus)
        while received := os.read(child_in, 8):
            os.write(child_out, received)
        os._exit(0)
    os.close(child_in)
    os.close(child_out)

    def play() -> None:
        os.write(ping, b"8 bytes.")
        os.read(pong, 8)

    yield play
    os.close(ping)
    os.waitpid(pid, 0)
    os.close(pong)


def measure_overhead(
    count: int, tokens: int, rounds: int, placement: Placement, clock: Clock = time.perf_counter_ns
) -> list[OverheadRow]:
    """Answer `count` requests in each round, in every mode; return a row for each mode."""
    requests = make_requests(count, tokens)
    alone = NullSystem(len(_TASK.labels))
    with ping_pong(placement.cpus[:1]) as play:
        pool = PoolSystem(_VARIANT, _TASK, Artifact(Path(), "", {}), placement, Settings())
        try:
            modes: dict[str, Callable[[], object]] = {
                "floor": lambda: [play() for _ in requests],
                "single-stream": lambda: [pool.predict([request]) for request in requests],
                "single-stream alone": lambda: [alone.predict([request]) for request in requests],
                "offline": lambda: pool.predict(requests),
                "offline alone": lambda: alone.predict(requests),
            }
            times: dict[str, list[float]] = {mode: [] for mode in modes}
            cpu_times: dict[str, list[float]] = {mode: [] for mode in modes}
            for index in range(rounds + _WARM_UP_ROUNDS):
                for mode, run in modes.items():
                    cpu_before, begin = _cpu_ns(pool.pids), clock()
                    run()
                    elapsed = clock() - begin
                    if index >= _WARM_UP_ROUNDS:
                        times[mode].append(elapsed / count / 1e3)
                        cpu_times[mode].append((_cpu_ns(pool.pids) - cpu_before) / count / 1e3)
        finally:
            pool.close()
    return [
        _row("ping-pong of two processes", times["floor"], None),
        *(
            _row(mode, _subtract_alone(times, mode), _subtract_alone(cpu_times, mode))
            for mode in ("single-stream", "offline")
        ),
    ]


def _subtract_alone(samples: Mapping[str, Sequence[float]], mode: str) -> list[float]:
    """Subtract the system's time without a pool, round by round."""
    return [pooled - alone for pooled, alone in zip(samples[mode], samples[f"{mode} alone"], strict=True)]


def _row(mode: str, times: Sequence[float], cpu_times: Sequence[float] | None) -> OverheadRow:
    cpu = statistics.median(cpu_times) if cpu_times else None
    return OverheadRow(mode, statistics.median(times), min(times), max(times), cpu)


def _cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time of this process and of others, in nanoseconds."""
    others = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids]
    return time.process_time_ns() + sum(others)


def render_table(rows: Sequence[OverheadRow], title: str) -> str:
    """Return the table as text."""
    lines = [title, "", f"{'microseconds per request':<28}{'median':>8}{'least':>8}{'most':>8}{'CPU':>8}"]
    for row in rows:
        cpu = "" if row.cpu_us is None else f"{row.cpu_us:.1f}"
        lines.append(
            f"{row.way:<28}{row.median_us:>8.1f}{row.least_us:>8.1f}{row.most_us:>8.1f}{cpu:>8}".rstrip()
        )
    return "\n".join([*lines, ""])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default, text in (
        ("instances", 2, "number of instances, one CPU each"),
        ("requests", 256, "requests per round"),
        ("tokens", 130, "mean length of a request"),
        ("rounds", 21, "interleaved rounds, after two for warm-up"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=text)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Print the table."""
    arguments = _arguments()
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    placement = Placement("cpu", cpus, 1, arguments.instances)
    try:
        rows = measure_overhead(arguments.requests, arguments.tokens, arguments.rounds, placement)
    except BenchError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    load = f"{arguments.requests} requests of about {arguments.tokens} tokens"
    title = f"{arguments.instances} instances, {load}, {arguments.rounds} rounds"
    sys.stdout.write(
        json.dumps([asdict(row) for row in rows], indent=1) + "\n"
        if arguments.json
        else render_table(rows, title)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
