import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import sleepy
import tiny

from harness.common.errors import BenchError, CheckpointError, MeasurementError, UsageError
from harness.measurement.timing.server_loop import serve_arrivals
from harness.runs.worker.process import THREAD_VARIABLES
from harness.systems.interface import Artifact, EncodedSequence, Placement, Predictions, Request, Settings
from harness.workload.tasks import get_task, resolve_task
from harness.workload.tasks.custom import CustomTaskDefinition, custom_task
from harness.workload.tasks.example import Example, TextInput
from optimized.ladders.rung import variant_of
from optimized.parallel import instance_process
from optimized.parallel.pool import PoolSystem, share, task_words

CPUS = tuple(sorted(os.sched_getaffinity(0)))
# where there is one CPU, both share it: they mostly sleep
PAIR = Placement("cpu", (CPUS[0], CPUS[-1]), threads=1, instances=2)
TASK = get_task("boolq")
NOTHING = Artifact(Path("nowhere"), "key", {})
SUPPORT = Path(sleepy.__file__).parent

Open = Callable[..., PoolSystem]


@pytest.fixture
def open_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open pools of sleepy instances, and close them in the end."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    opened: list[PoolSystem] = []

    def open_one(words: Mapping[str, Any], placement: Placement = PAIR, **more: Any) -> PoolSystem:
        pool = PoolSystem(words, TASK, NOTHING, placement, Settings(), loader=sleepy.LOADER, **more)
        opened.append(pool)
        return pool

    yield open_one
    for pool in opened:
        pool.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[PoolSystem]:
    """Open one pool for all tests that leave it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT))
        words = {"ms_per_token": 1}
        pool = PoolSystem(words, TASK, NOTHING, PAIR, Settings(), loader=sleepy.LOADER)
    yield pool
    pool.close()


def request(name: str, *lengths: int) -> Request:
    """Return a request with sequences of these lengths, whose ids tell its name."""
    ids = [np.arange(length, dtype=np.int64) + int(name) for length in lengths]
    return Request(name, tuple(EncodedSequence(one, np.zeros_like(one), ((0, 2),)) for one in ids))


def requests(count: int) -> list[Request]:
    """Return requests whose lengths go up and down."""
    return [request(str(number), 1 + number * 7 % 11) for number in range(count)]


def alone(asked: Sequence[Request], words: Mapping[str, Any] | None = None) -> Predictions:
    """Answer in this process."""
    return sleepy.SleepySystem(len(TASK.labels), PAIR, words or {}).predict(asked)


def assert_same(found: Predictions, expected: Predictions) -> None:
    assert found.logits.dtype == expected.logits.dtype
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert found.answers == expected.answers
    assert {name: list(cost) for name, cost in found.costs.items()} == {
        name: list(cost) for name, cost in expected.costs.items()
    }


def gone(pid: int) -> bool:
    """Wait until the process is gone, or nobody's child any more."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_answers_keep_the_order_of_the_requests(shared: PoolSystem) -> None:
    """Although the longest are asked first and the shortest are answered first; one alone is answered too."""
    for asked in (requests(40), requests(40)[::-1], requests(1), []):
        assert_same(shared.predict(asked), alone(asked))


def test_requests_of_several_sequences_keep_their_offsets(shared: PoolSystem) -> None:
    """Also one without any, and their spans arrive."""
    asked = [request("3", 5, 1, 9), request("1"), request("8", 2), request("4", 1, 1, 1, 1, 30)]
    found = shared.predict(asked)
    assert_same(found, alone(asked))
    assert list(found.offsets) == [0, 3, 3, 4, 9]
    # 8 + 9 = 17 and two tokens of one span: 19; the second label's is 2 * 17 + 2
    assert list(found.logits[3]) == [19, 36]


def test_a_system_without_logits_keeps_its_answers_in_order(open_pool: Open) -> None:
    """As a program from outside has them."""
    words = {"answers": True, "ms_per_token": 1}
    found = open_pool(words).predict(requests(20))
    assert_same(found, alone(requests(20), words))
    assert found.answers is not None
    assert found.answers[7] == "answer to 7"


def test_requests_and_answers_of_any_size_cross(open_pool: Open) -> None:
    """A million tokens, more sequences than anybody asks, and answers that are longer than their places."""
    words = {"answers": True, "says": "long " * 50_000}
    pool = open_pool(words)
    asked = [request("1", 1_000_000, 5), request("2", *[3] * 5000), *requests(4)]
    assert_same(pool.predict(asked), alone(asked, words))
    assert_same(pool.predict(requests(3)), alone(requests(3), words))


def test_texts_are_encoded_in_order(shared: PoolSystem) -> None:
    """By the instances, each a part of them."""
    examples = [Example(str(n), (TextInput("a bb " * (1 + n * 5 % 7), "ccc"),)) for n in range(12)]
    encoded = shared.encode(examples)
    expected = sleepy.SleepySystem(2, PAIR, {}).encode(examples)
    assert [one.id for one in encoded] == [one.id for one in expected]
    for one, other in zip(encoded, expected, strict=True):
        np.testing.assert_array_equal(one.sequences[0].ids, other.sequences[0].ids)
        assert one.sequences[0].ids.dtype == other.sequences[0].ids.dtype
        assert (one.sequences[0].spans, one.sequences[0].cut) == (((0, 1),), 1)


def test_a_rung_with_two_instances_answers_as_with_one(boolq_folder: Path, tmp_path: Path) -> None:
    """Bit by bit, since with one request a batch no answer depends on another."""
    rung = variant_of({"name": "two", "recipes": [], "engine": "onnx-fp32"})
    artifact = rung.prepare(TASK, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path))
    one = rung.load(TASK, artifact, tiny.CPU, tiny.SHORT)
    many = rung.load(TASK, artifact, PAIR, tiny.SHORT)
    try:
        assert isinstance(many, PoolSystem)
        examples = tiny.examples(30)
        assert_same(many.predict(many.encode(examples)), one.predict(one.encode(examples)))
        assert many.encoding == one.encoding
        told = many.describe()
        assert (told["engine"], told["threads"], told["instances"]) == ("onnxruntime", 1, 2)
    finally:
        many.close()
        one.close()


def test_each_instance_has_its_own_cpus_and_threads(open_pool: Open) -> None:
    """They are set before anything loads, and told."""
    said = open_pool({}, Placement("cpu", CPUS[:2], 1, len(CPUS[:2]))).describe()
    assert said["pinned"] == [CPUS[0]]
    assert said["instances"] == len(CPUS[:2])
    assert said["instance_cpus"] == [[cpu] for cpu in CPUS[:2]]
    assert said["threads_per_instance"] == 1
    assert said["limits"] == dict.fromkeys(THREAD_VARIABLES, "1")
    assert said["instances_replaced"] == 0


def test_thread_limits_are_those_of_workers() -> None:
    """One list in two places, since recipes know nothing of sweeps."""
    assert instance_process.THREAD_VARIABLES == THREAD_VARIABLES


def test_instances_stay_in_the_group_of_their_parent(shared: PoolSystem) -> None:
    """So that a worker is stopped, continued and ended with them."""
    assert {os.getpgid(pid) for pid in shared.pids} == {os.getpgid(0)}


def test_an_instance_that_is_killed_loses_nothing(open_pool: Open, tmp_path: Path) -> None:
    """It is replaced, and its requests are answered by another."""
    words = {"kills": ["3", "17"], "once": str(tmp_path), "ms_per_token": 1}
    pool = open_pool(words)
    before = set(pool.pids)
    assert_same(pool.predict(requests(30)), alone(requests(30)))
    assert pool.describe()["instances_replaced"] == 2
    assert len(set(pool.pids) - before) == 2
    assert_same(pool.predict(requests(30)), alone(requests(30)))


def test_whenever_instances_are_killed_every_request_is_answered_once_and_in_order(open_pool: Open) -> None:
    """At moments that nobody chose: while they load, take, answer, write or ring."""
    pool, asked, dice = open_pool({"ms_per_token": 0.2}), requests(120), random.Random(7)
    expected, stop = alone(asked), threading.Event()

    def killer() -> None:
        while not stop.wait(dice.uniform(0.02, 0.25)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(pool.pids), signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        with contextlib.suppress(MeasurementError):  # three deaths in a row before an answer end the pool
            for _ in range(4):
                assert_same(pool.predict(asked), expected)
    finally:
        stop.set()
        thread.join()
    assert pool.describe()["instances_replaced"] >= 1


def test_an_instance_that_is_killed_while_idle_is_replaced(open_pool: Open) -> None:
    """When it is needed."""
    pool = open_pool({})
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
        gone(pid)
    assert_same(pool.predict(requests(9)), alone(requests(9)))
    assert pool.describe()["instances_replaced"] == 2


def test_requests_that_kill_every_instance_are_an_error(open_pool: Open) -> None:
    """With how it ended and what it said last; the pool goes on."""
    pool = open_pool({"kills": ["2"]})
    with pytest.raises(MeasurementError, match="SIGKILL") as caught:
        pool.predict(requests(6))
    assert "these are my last words" in str(caught.value)
    assert_same(pool.predict(requests(2)), alone(requests(2)))


def first_error(pool: PoolSystem) -> BenchError | None:
    """Ask until the pool is broken: others answer while an instance is replaced."""
    for _ in range(600):
        try:
            pool.predict(requests(1))
        except BenchError as problem:
            return problem
        time.sleep(0.05)
    return None


def test_an_instance_that_cannot_be_replaced_is_an_error(open_pool: Open, tmp_path: Path) -> None:
    """One that dies again and again at loading ends the pool, and does not load for ever."""
    pool = open_pool({"broken": str(tmp_path / "broken")})
    (tmp_path / "broken").touch()
    os.kill(pool.pids[0], signal.SIGKILL)
    gone(pool.pids[0])
    assert "exit code 7" in str(first_error(pool))
    with pytest.raises(MeasurementError, match="exit code 7"):
        pool.predict(requests(1))


@pytest.mark.parametrize(
    ("load", "kind", "said"),
    [("fails", CheckpointError, "it cannot be loaded"), ("dies", MeasurementError, "exit code 7")],
)
def test_an_instance_that_does_not_load_is_an_error_at_once(
    open_pool: Open, load: str, kind: type[BenchError], said: str
) -> None:
    """Of the kind that the variant raised."""
    before = psutil.Process().children()
    with pytest.raises(kind, match=said):
        open_pool({"load": load})
    assert psutil.Process().children() == before


def test_an_error_of_an_instance_arrives_as_it_was_raised(open_pool: Open) -> None:
    """With its kind, place and remedy; the rest of the call is given up, and the next one is answered."""
    pool = open_pool({"fails": "5", "ms_per_token": 1})
    with pytest.raises(CheckpointError, match="it cannot be answered") as caught:
        pool.predict(requests(30))
    assert (caught.value.where, caught.value.remedy) == ("5", "Ask another.")
    assert_same(pool.predict(requests(5)), alone(requests(5)))


def test_an_instance_that_falls_silent_is_an_error(open_pool: Open) -> None:
    """It is ended and replaced; what it hung over is not asked again."""
    pool = open_pool({"hangs": "1"}, patience_s=4.0)
    with pytest.raises(MeasurementError, match="said nothing for 4 s"):
        pool.predict(requests(3))
    assert_same(pool.predict(requests(1)), alone(requests(1)))


@pytest.mark.parametrize(
    ("instances", "threads", "cpus"),
    [(0, 1, CPUS), (-1, 1, CPUS), (len(CPUS) + 1, 1, CPUS), (1, len(CPUS) + 1, CPUS), (1, 1, ())],
)
def test_more_instances_than_cpus_are_refused(
    open_pool: Open, instances: int, threads: int, cpus: tuple[int, ...]
) -> None:
    """With what would fit."""
    with pytest.raises(UsageError) as caught:
        open_pool({}, Placement("cpu", cpus, threads, instances))
    assert caught.value.remedy


def test_cpus_are_shared_out_in_neighbouring_parts() -> None:
    """All of them, the parts as equal as can be."""
    parts = share(Placement("cpu", tuple(range(10, 17)), threads=2, instances=3))
    assert [part.cpus for part in parts] == [(10, 11), (12, 13), (14, 15, 16)]
    assert {(part.instances, part.threads) for part in parts} == {(1, 2)}


def test_a_custom_task_crosses_by_its_labels() -> None:
    """All that a system sees of a task is the same there."""
    task = custom_task(CustomTaskDefinition(("no", "yes", "?"), "f1", pair=True, positional=True))
    there = resolve_task(json.loads(json.dumps(task_words(task))))
    assert [(one.name, one.labels, one.head, one.positional) for one in (task, there)] == [
        ("custom", ("no", "yes", "?"), "sequence", True)
    ] * 2
    assert task_words(TASK) == "boolq"


class Told:
    """Remembers what `done` was told, by name."""

    def __init__(self) -> None:
        self.answers: dict[str, Predictions | Exception] = {}
        self.threads: set[int] = set()
        self._more = threading.Semaphore(0)

    def done(self, name: str) -> Callable[[Predictions | Exception], None]:
        def told(answer: Predictions | Exception) -> None:
            self.answers[name] = answer
            self.threads.add(threading.get_ident())
            self._more.release()

        return told

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._more.acquire(timeout=60), "an answer never came"


def test_submitted_requests_are_answered_side_by_side(open_pool: Open) -> None:
    """A short one overtakes a long one; all are told in one thread, which is not the caller's."""
    pool, told = open_pool({"ms_per_token": 2}), Told()
    calls = {"1": [request("1", 400)], "2": [request("2", 1)], "3": requests(10)}
    for name, asked in calls.items():
        pool.submit(asked, told.done(name))
    told.wait(3)
    assert list(told.answers)[-1] == "1"
    for name, asked in calls.items():
        answer = told.answers[name]
        assert isinstance(answer, Predictions)
        assert_same(answer, alone(asked))
    assert told.threads.isdisjoint({threading.get_ident()})
    assert len(told.threads) == 1
    assert_same(pool.predict(requests(9)), alone(requests(9)))


def test_any_thread_may_ask(open_pool: Open) -> None:
    """Before and after the first submission."""
    pool, told = open_pool({"ms_per_token": 1}), Told()
    found: dict[int, Predictions] = {}

    def ask(number: int) -> None:
        if number == 3:
            pool.submit(requests(5), told.done("3"))
        found[number] = pool.predict(requests(number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.wait(1)
    for number in range(8):
        assert_same(found[number], alone(requests(number)))


def test_a_submission_is_told_its_error(open_pool: Open) -> None:
    """And what was not answered before closing is told that."""
    pool, told = open_pool({"fails": "5", "ms_per_token": 1}), Told()
    pool.submit([request("5", 1)], told.done("fails"))
    told.wait(1)
    assert isinstance(told.answers["fails"], CheckpointError)
    pool.submit([request("1", 60_000)], told.done("late"))
    pool.close()
    told.wait(1)
    assert "closed" in str(told.answers["late"])
    with pytest.raises(MeasurementError, match="closed"):
        pool.submit(requests(1), told.done("never"))
    with pytest.raises(MeasurementError, match="closed"):
        pool.predict(requests(1))


def test_whoever_is_told_may_submit_but_not_wait(open_pool: Open) -> None:
    """To wait there would be to wait for oneself."""
    pool, told = open_pool({}), Told()
    caught: list[Exception] = []

    def first(answer: Predictions | Exception) -> None:
        del answer
        try:
            pool.predict(requests(1))
        except UsageError as problem:
            caught.append(problem)
        pool.submit(requests(2), told.done("second"))

    pool.submit(requests(1), first)
    told.wait(1)
    assert len(caught) == 1
    assert isinstance(told.answers["second"], Predictions)


def test_a_caller_whose_own_code_fails_when_told_hears_of_it(open_pool: Open) -> None:
    """At the next call, and nobody waits for ever."""
    pool = open_pool({})

    def fails(answer: Predictions | Exception) -> None:
        raise ValueError(f"a bug in reading {type(answer).__name__}")

    pool.submit(requests(1), fails)
    assert "a bug in reading Predictions" in str(first_error(pool))


def test_requests_that_arrive_at_a_rate_are_answered_side_by_side(open_pool: Open) -> None:
    """Four at once, 30 ms each, on two instances: the first two end together, not one after the other."""
    pool = open_pool({"ms_per_token": 30})
    calls = [[request(str(number), 1)] for number in range(4)]
    timed = serve_arrivals(pool, calls, [0] * 4, 0, clock=time.perf_counter_ns)
    (once,) = timed.passes
    for number, answer in enumerate(once.answers):
        assert_same(answer, alone([request(str(number), 1)]))
    first, second, *_ = sorted(once.ends)
    assert second - first < 30_000_000
    assert all(end - begin >= 30_000_000 for begin, end in zip(once.begins, once.ends, strict=True))


def test_closing_ends_all_instances_and_closes_their_systems(open_pool: Open, tmp_path: Path) -> None:
    """Twice is once."""
    pool = open_pool({"closed": str(tmp_path)})
    pids = pool.pids
    pool.close()
    pool.close()
    assert {path.name for path in tmp_path.iterdir()} == {str(pid) for pid in pids}
    assert all(gone(pid) for pid in pids)


def test_a_pool_that_waits_sleeps(open_pool: Open) -> None:
    """Neither it nor its instances use the CPU while there is nothing to do, also with a thread."""
    pool, told = open_pool({}), Told()
    pool.submit(requests(3), told.done("first"))
    told.wait(1)
    everyone = [psutil.Process(), *map(psutil.Process, pool.pids)]
    before = [sum(one.cpu_times()[:2]) for one in everyone]
    time.sleep(0.5)
    used = [sum(one.cpu_times()[:2]) - then for one, then in zip(everyone, before, strict=True)]
    assert max(used) < 0.1  # seconds of CPU time: one that polls uses 0.5


PARENT = f"""
import sys
from pathlib import Path
import numpy as np
from harness.systems.interface import Artifact, EncodedSequence, Placement, Request, Settings
from harness.workload.tasks import get_task
from optimized.parallel.pool import PoolSystem

ids = np.arange(10)
asked = [Request(str(n), (EncodedSequence(ids, ids),)) for n in range(30)]
placement = Placement("cpu", {PAIR.cpus}, 1, 2)
nothing = Artifact(Path("nowhere"), "key", {{}})
pool = PoolSystem({{"ms_per_token": 5}}, get_task("boolq"), nothing, placement, Settings(),
                  loader="sleepy:variant_of", patience_s=10.0)
print(*pool.pids, flush=True)
print(len(pool.predict(asked).logits), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Start a process in a group of its own that has a pool; give its instances' processes too."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    pids = [int(word) for word in process.stdout.readline().split()]
    yield process, pids
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_no_instance_outlives_a_parent_that_is_killed(
    parent: tuple[subprocess.Popen[str], list[int]],
) -> None:
    """Neither one at work nor one that is stopped."""
    process, pids = parent
    assert len(pids) == 2
    os.kill(pids[0], signal.SIGSTOP)
    process.kill()
    process.wait()
    assert all(gone(pid) for pid in pids)


def test_a_group_that_is_stopped_and_continued_goes_on(
    parent: tuple[subprocess.Popen[str], list[int]],
) -> None:
    """As a worker is between its turns; a stop is no silence."""
    process, pids = parent
    everyone = [psutil.Process(pid) for pid in (process.pid, *pids)]
    for _ in range(3):
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(1.1)  # longer than a look of 1 s
        assert {one.status() for one in everyone} == {psutil.STATUS_STOPPED}
        os.killpg(process.pid, signal.SIGCONT)
    assert process.stdout
    assert process.stdout.readline() == "30\n"
    assert all(one.is_running() for one in everyone)
