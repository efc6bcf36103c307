"""What a pool costs a request: instances that answer at once, so all the time there is goes to getting there.

    python -m optimized.parallel.overhead [--instances 2] [--requests 256] [--tokens 130] [--rounds 21]
    [--json]

Each round asks the same requests one at a time and all at once, and plays ping-pong over pipes of the same
kind without anything to say, which is this machine's floor: whatever lets both sides sleep is no faster. What
the null system needs without a pool is taken off. CPU time is that of the pool's process and its instances.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from baselines.engines.null import NullSystem
from harness.common.errors import BenchError
from harness.systems.interface import Artifact, EncodedSequence, Placement, Request, Settings
from harness.workload.tasks import get_task
from optimized.parallel.pool import PoolSystem

_WORDS = {"name": "null", "recipes": [], "engine": "null"}
_TASK = get_task("boolq")
_WARM_UP = 2  # rounds that are not counted

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class OverheadRow:
    """Microseconds a request of one way to ask: the median over rounds, the least and most, and CPU time."""

    way: str
    median_us: float
    least_us: float
    most_us: float
    cpu_us: float | None


def requests_of(count: int, tokens: int) -> list[Request]:
    """Return requests of one sequence each, whose lengths go from half to one and a half times `tokens`."""
    lengths = [max(1, tokens // 2 + (7919 * number) % (tokens + 1)) for number in range(count)]
    ids = np.arange(max(lengths), dtype=np.int32)
    return [
        Request(str(number), (EncodedSequence(ids[:length], np.zeros(length, dtype=np.int32)),))
        for number, length in enumerate(lengths)
    ]


@contextmanager
def partner(cpus: Sequence[int]) -> Iterator[Callable[[], None]]:
    """Give what wakes another process on these CPUs and sleeps until it has answered: 8 bytes each way."""
    (theirs, ours), (back, answer) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        os.sched_setaffinity(0, cpus)
        while said := os.read(theirs, 8):
            os.write(answer, said)
        os._exit(0)
    os.close(theirs)
    os.close(answer)

    def play() -> None:
        os.write(ours, b"8 bytes.")
        os.read(back, 8)

    yield play
    os.close(ours)
    os.waitpid(pid, 0)
    os.close(back)


def measured(
    count: int, tokens: int, rounds: int, placement: Placement, clock: Clock = time.perf_counter_ns
) -> list[OverheadRow]:
    """Ask `count` requests in each round, in every way; return a row for each way."""
    asked = requests_of(count, tokens)
    alone = NullSystem(len(_TASK.labels))
    with partner(placement.cpus[:1]) as play:
        pool = PoolSystem(_WORDS, _TASK, Artifact(Path(), "", {}), placement, Settings())
        try:
            ways: dict[str, Callable[[], object]] = {
                "floor": lambda: [play() for _ in asked],
                "single-stream": lambda: [pool.predict([one]) for one in asked],
                "single-stream alone": lambda: [alone.predict([one]) for one in asked],
                "offline": lambda: pool.predict(asked),
                "offline alone": lambda: alone.predict(asked),
            }
            times: dict[str, list[float]] = {way: [] for way in ways}
            used: dict[str, list[float]] = {way: [] for way in ways}
            for index in range(rounds + _WARM_UP):
                for way, ask in ways.items():
                    before, begin = _cpu_ns(pool.pids), clock()
                    ask()
                    spent = clock() - begin
                    if index >= _WARM_UP:
                        times[way].append(spent / count / 1e3)
                        used[way].append((_cpu_ns(pool.pids) - before) / count / 1e3)
        finally:
            pool.close()
    return [
        _row("ping-pong of two processes", times["floor"], None),
        *(_row(way, _less(times, way), _less(used, way)) for way in ("single-stream", "offline")),
    ]


def _less(found: dict[str, list[float]], way: str) -> list[float]:
    """Take what the system needs without a pool off, round by round."""
    return [mine - theirs for mine, theirs in zip(found[way], found[f"{way} alone"], strict=True)]


def _row(way: str, times: Sequence[float], used: Sequence[float] | None) -> OverheadRow:
    cpu = statistics.median(used) if used else None
    return OverheadRow(way, statistics.median(times), min(times), max(times), cpu)


def _cpu_ns(pids: Sequence[int]) -> int:
    """Return CPU time of this process and of others, in nanoseconds."""
    others = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids]
    return time.process_time_ns() + sum(others)


def rendered(rows: Sequence[OverheadRow], what: str) -> str:
    """Return the table as text."""
    lines = [what, "", f"{'microseconds a request':<28}{'median':>8}{'least':>8}{'most':>8}{'CPU':>8}"]
    for row in rows:
        cpu = "" if row.cpu_us is None else f"{row.cpu_us:.1f}"
        lines.append(
            f"{row.way:<28}{row.median_us:>8.1f}{row.least_us:>8.1f}{row.most_us:>8.1f}{cpu:>8}".rstrip()
        )
    return "\n".join([*lines, ""])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default, words in (
        ("instances", 2, "how many, one CPU each"),
        ("requests", 256, "requests of a round"),
        ("tokens", 130, "their mean length"),
        ("rounds", 21, "rounds, interleaved, after two that are not counted"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=words)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    try:
        rows = measured(
            asked.requests, asked.tokens, asked.rounds, Placement("cpu", cpus, 1, asked.instances)
        )
    except BenchError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    what = f"{asked.instances} instances, {asked.requests} requests of about {asked.tokens} tokens"
    sys.stdout.write(
        json.dumps([asdict(row) for row in rows], indent=1) + "\n"
        if asked.json
        else rendered(rows, f"{what}, {asked.rounds} rounds")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
