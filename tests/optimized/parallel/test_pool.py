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
from optimized.parallel.pool import PoolSystem, split_placement, task_reference

CPUS = tuple(sorted(os.sched_getaffinity(0)))
# on a machine with one CPU both instances share it: they mostly sleep
PAIR = Placement("cpu", (CPUS[0], CPUS[-1]), threads=1, instances=2)
TASK = get_task("boolq")
NO_ARTIFACT = Artifact(Path("nowhere"), "key", {})
SUPPORT = Path(sleepy.__file__).parent

Open = Callable[..., PoolSystem]


@pytest.fixture
def open_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open pools of sleepy instances, and close them in the end."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    opened: list[PoolSystem] = []

    def open_one(config: Mapping[str, Any], placement: Placement = PAIR, **options: Any) -> PoolSystem:
        pool = PoolSystem(config, TASK, NO_ARTIFACT, placement, Settings(), loader=sleepy.LOADER, **options)
        opened.append(pool)
        return pool

    yield open_one
    for pool in opened:
        pool.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[PoolSystem]:
    """Open one pool for all tests that do not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT))
        config = {"ms_per_token": 1}
        pool = PoolSystem(config, TASK, NO_ARTIFACT, PAIR, Settings(), loader=sleepy.LOADER)
    yield pool
    pool.close()


def request(name: str, *lengths: int) -> Request:
    """Return a request with sequences of these lengths, whose token ids start at its name."""
    ids = [np.arange(length, dtype=np.int64) + int(name) for length in lengths]
    return Request(name, tuple(EncodedSequence(row, np.zeros_like(row), ((0, 2),)) for row in ids))


def requests(count: int) -> list[Request]:
    """Return requests of varying lengths."""
    return [request(str(number), 1 + number * 7 % 11) for number in range(count)]


def alone(batch: Sequence[Request], config: Mapping[str, Any] | None = None) -> Predictions:
    """Answer in this process, without a pool."""
    return sleepy.SleepySystem(len(TASK.labels), PAIR, config or {}).predict(batch)


def assert_same(actual: Predictions, expected: Predictions) -> None:
    assert actual.logits.dtype == expected.logits.dtype
    np.testing.assert_array_equal(actual.logits, expected.logits)
    np.testing.assert_array_equal(actual.offsets, expected.offsets)
    assert actual.answers == expected.answers
    assert {name: list(cost) for name, cost in actual.costs.items()} == {
        name: list(cost) for name, cost in expected.costs.items()
    }


def gone(pid: int) -> bool:
    """Wait until the process has ended; return whether it has."""
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_answers_keep_the_order_of_the_requests(shared: PoolSystem) -> None:
    """Although chunks are taken longest first; also with one request, and with none."""
    for batch in (requests(40), requests(40)[::-1], requests(1), []):
        assert_same(shared.predict(batch), alone(batch))


def test_requests_of_several_sequences_keep_their_offsets(shared: PoolSystem) -> None:
    """Also a request without sequences; spans arrive too."""
    batch = [request("3", 5, 1, 9), request("1"), request("8", 2), request("4", 1, 1, 1, 1, 30)]
    predictions = shared.predict(batch)
    assert_same(predictions, alone(batch))
    assert list(predictions.offsets) == [0, 3, 3, 4, 9]
    # 8 + 9 = 17 and two tokens of one span: 19; the second label's logit is 2 * 17 + 2
    assert list(predictions.logits[3]) == [19, 36]


def test_a_system_without_logits_keeps_its_answers_in_order(open_pool: Open) -> None:
    """As an external program returns them."""
    config = {"answers": True, "ms_per_token": 1}
    predictions = open_pool(config).predict(requests(20))
    assert_same(predictions, alone(requests(20), config))
    assert predictions.answers is not None
    assert predictions.answers[7] == "answer to 7"


def test_requests_and_answers_of_any_size_cross(open_pool: Open) -> None:
    """A million tokens, thousands of sequences, and answers above their capacity."""
    config = {"answers": True, "suffix": "long " * 50_000}
    pool = open_pool(config)
    batch = [request("1", 1_000_000, 5), request("2", *[3] * 5000), *requests(4)]
    assert_same(pool.predict(batch), alone(batch, config))
    assert_same(pool.predict(requests(3)), alone(requests(3), config))


def test_texts_are_encoded_in_order(shared: PoolSystem) -> None:
    """Each instance encodes a part of them."""
    examples = [Example(str(n), (TextInput("a bb " * (1 + n * 5 % 7), "ccc"),)) for n in range(12)]
    encoded = shared.encode(examples)
    expected = sleepy.SleepySystem(2, PAIR, {}).encode(examples)
    assert [request.id for request in encoded] == [request.id for request in expected]
    for encoded_request, expected_request in zip(encoded, expected, strict=True):
        sequence, reference = encoded_request.sequences[0], expected_request.sequences[0]
        np.testing.assert_array_equal(sequence.ids, reference.ids)
        assert sequence.ids.dtype == reference.ids.dtype
        assert (sequence.spans, sequence.cut) == (((0, 1),), 1)


def test_a_rung_with_two_instances_answers_as_with_one(boolq_folder: Path, tmp_path: Path) -> None:
    """Bit by bit, since with one request per batch no answer depends on another."""
    rung = variant_of({"name": "two", "recipes": [], "engine": "onnx-fp32"})
    artifact = rung.prepare(TASK, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path))
    single = rung.load(TASK, artifact, tiny.CPU, tiny.SHORT)
    pool = rung.load(TASK, artifact, PAIR, tiny.SHORT)
    try:
        assert isinstance(pool, PoolSystem)
        examples = tiny.examples(30)
        assert_same(pool.predict(pool.encode(examples)), single.predict(single.encode(examples)))
        assert pool.encoding == single.encoding
        description = pool.describe()
        assert (description["engine"], description["threads"], description["instances"]) == (
            "onnxruntime",
            1,
            2,
        )
    finally:
        pool.close()
        single.close()


def test_each_instance_has_its_own_cpus_and_threads(open_pool: Open) -> None:
    """They are set before a library loads, and reported."""
    description = open_pool({}, Placement("cpu", CPUS[:2], 1, len(CPUS[:2]))).describe()
    assert description["pinned"] == [CPUS[0]]
    assert description["instances"] == len(CPUS[:2])
    assert description["instance_cpus"] == [[cpu] for cpu in CPUS[:2]]
    assert description["threads_per_instance"] == 1
    assert description["limits"] == dict.fromkeys(THREAD_VARIABLES, "1")
    assert description["instances_replaced"] == 0


def test_thread_limits_are_those_of_workers() -> None:
    """The list is in two places, since this package does not import the runner."""
    assert instance_process.THREAD_VARIABLES == THREAD_VARIABLES


def test_instances_stay_in_the_group_of_their_parent(shared: PoolSystem) -> None:
    """So that a signal to the group reaches the worker and its instances."""
    assert {os.getpgid(pid) for pid in shared.pids} == {os.getpgid(0)}


def test_the_requests_of_a_killed_instance_are_answered(open_pool: Open, tmp_path: Path) -> None:
    """It is replaced, and another answers its requests."""
    config = {"kills": ["3", "17"], "once": str(tmp_path), "ms_per_token": 1}
    pool = open_pool(config)
    before = set(pool.pids)
    assert_same(pool.predict(requests(30)), alone(requests(30)))
    assert pool.describe()["instances_replaced"] == 2
    assert len(set(pool.pids) - before) == 2
    assert_same(pool.predict(requests(30)), alone(requests(30)))


def test_every_request_is_answered_once_and_in_order_whenever_instances_are_killed(open_pool: Open) -> None:
    """At random moments: while they load, take, answer, write or report."""
    pool, batch, rng = open_pool({"ms_per_token": 0.2}), requests(120), random.Random(7)
    expected, stop = alone(batch), threading.Event()

    def kill_at_random() -> None:
        while not stop.wait(rng.uniform(0.02, 0.25)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(pool.pids), signal.SIGKILL)

    thread = threading.Thread(target=kill_at_random)
    thread.start()
    try:
        with contextlib.suppress(MeasurementError):  # three deaths in a row before an answer end the pool
            for _ in range(4):
                assert_same(pool.predict(batch), expected)
    finally:
        stop.set()
        thread.join()
    assert pool.describe()["instances_replaced"] >= 1


def test_an_instance_that_is_killed_while_idle_is_replaced(open_pool: Open) -> None:
    """At the next call."""
    pool = open_pool({})
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
        gone(pid)
    assert_same(pool.predict(requests(9)), alone(requests(9)))
    assert pool.describe()["instances_replaced"] == 2


def test_requests_that_kill_every_instance_are_an_error(open_pool: Open) -> None:
    """With the signal and the last output; the pool keeps working."""
    pool = open_pool({"kills": ["2"]})
    with pytest.raises(MeasurementError, match="SIGKILL") as caught:
        pool.predict(requests(6))
    assert "the last line before SIGKILL" in str(caught.value)
    assert_same(pool.predict(requests(2)), alone(requests(2)))


def first_error(pool: PoolSystem) -> BenchError | None:
    """Send requests until the pool fails: other instances answer while one is replaced."""
    for _ in range(600):
        try:
            pool.predict(requests(1))
        except BenchError as problem:
            return problem
        time.sleep(0.05)
    return None


def test_an_instance_that_cannot_be_replaced_is_an_error(open_pool: Open, tmp_path: Path) -> None:
    """The pool fails after a few deaths in a row, instead of restarting it for ever."""
    pool = open_pool({"dies_if": str(tmp_path / "broken")})
    (tmp_path / "broken").touch()
    os.kill(pool.pids[0], signal.SIGKILL)
    gone(pool.pids[0])
    assert "exit code 7" in str(first_error(pool))
    with pytest.raises(MeasurementError, match="exit code 7"):
        pool.predict(requests(1))


@pytest.mark.parametrize(
    ("load", "kind", "message"),
    [("fails", CheckpointError, "it cannot be loaded"), ("dies", MeasurementError, "exit code 7")],
)
def test_an_instance_that_does_not_load_is_an_error_at_once(
    open_pool: Open, load: str, kind: type[BenchError], message: str
) -> None:
    """Of the kind that the variant raised."""
    before = psutil.Process().children()
    with pytest.raises(kind, match=message):
        open_pool({"load": load})
    assert psutil.Process().children() == before


def test_an_error_in_an_instance_arrives_as_it_was_raised(open_pool: Open) -> None:
    """With its class, place and remedy; the rest of the call is dropped, and the next call is answered."""
    pool = open_pool({"fails": "5", "ms_per_token": 1})
    with pytest.raises(CheckpointError, match="it cannot be answered") as caught:
        pool.predict(requests(30))
    assert (caught.value.where, caught.value.remedy) == ("5", "Send another request.")
    assert_same(pool.predict(requests(5)), alone(requests(5)))


def test_an_instance_that_times_out_is_an_error(open_pool: Open) -> None:
    """It is killed and replaced; its chunk is not tried again."""
    pool = open_pool({"hangs": "1"}, timeout_s=4.0)
    with pytest.raises(MeasurementError, match="made no progress for 4 s"):
        pool.predict(requests(3))
    assert_same(pool.predict(requests(1)), alone(requests(1)))


@pytest.mark.parametrize(
    ("instances", "threads", "cpus"),
    [(0, 1, CPUS), (-1, 1, CPUS), (len(CPUS) + 1, 1, CPUS), (1, len(CPUS) + 1, CPUS), (1, 1, ())],
)
def test_more_instances_than_cpus_are_refused(
    open_pool: Open, instances: int, threads: int, cpus: tuple[int, ...]
) -> None:
    """The remedy gives the number that fits."""
    with pytest.raises(UsageError) as caught:
        open_pool({}, Placement("cpu", cpus, threads, instances))
    assert caught.value.remedy


def test_cpus_are_split_into_neighbouring_parts() -> None:
    """All of them, in parts that are as equal as possible."""
    parts = split_placement(Placement("cpu", tuple(range(10, 17)), threads=2, instances=3))
    assert [part.cpus for part in parts] == [(10, 11), (12, 13), (14, 15, 16)]
    assert {(part.instances, part.threads) for part in parts} == {(1, 2)}


def test_a_custom_task_is_sent_by_its_labels() -> None:
    """Everything that a system reads of a task is the same in the instance."""
    task = custom_task(CustomTaskDefinition(("no", "yes", "?"), "f1", pair=True, positional=True))
    restored = resolve_task(json.loads(json.dumps(task_reference(task))))
    assert [(copy.name, copy.labels, copy.head, copy.positional) for copy in (task, restored)] == [
        ("custom", ("no", "yes", "?"), "sequence", True)
    ] * 2
    assert task_reference(TASK) == "boolq"


class Answers:
    """Collects the answers that `done` gets, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Predictions | Exception] = {}
        self.threads: set[int] = set()
        self._more = threading.Semaphore(0)

    def done(self, name: str) -> Callable[[Predictions | Exception], None]:
        def store(answer: Predictions | Exception) -> None:
            self.by_name[name] = answer
            self.threads.add(threading.get_ident())
            self._more.release()

        return store

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._more.acquire(timeout=60), "an answer never arrived"


def test_submitted_requests_are_answered_side_by_side(open_pool: Open) -> None:
    """A short call finishes before a long one; `done` runs in one thread, which is not the caller's."""
    pool, answers = open_pool({"ms_per_token": 2}), Answers()
    calls = {"1": [request("1", 400)], "2": [request("2", 1)], "3": requests(10)}
    for name, batch in calls.items():
        pool.submit(batch, answers.done(name))
    answers.wait(3)
    assert list(answers.by_name)[-1] == "1"
    for name, batch in calls.items():
        answer = answers.by_name[name]
        assert isinstance(answer, Predictions)
        assert_same(answer, alone(batch))
    assert answers.threads.isdisjoint({threading.get_ident()})
    assert len(answers.threads) == 1
    assert_same(pool.predict(requests(9)), alone(requests(9)))


def test_any_thread_may_call(open_pool: Open) -> None:
    """Before and after the first submission."""
    pool, answers = open_pool({"ms_per_token": 1}), Answers()
    predictions: dict[int, Predictions] = {}

    def call(number: int) -> None:
        if number == 3:
            pool.submit(requests(5), answers.done("3"))
        predictions[number] = pool.predict(requests(number))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.wait(1)
    for number in range(8):
        assert_same(predictions[number], alone(requests(number)))


def test_a_submitted_call_gets_its_error(open_pool: Open) -> None:
    """A call that was not answered before closing gets an error as well."""
    pool, answers = open_pool({"fails": "5", "ms_per_token": 1}), Answers()
    pool.submit([request("5", 1)], answers.done("fails"))
    answers.wait(1)
    assert isinstance(answers.by_name["fails"], CheckpointError)
    pool.submit([request("1", 60_000)], answers.done("late"))
    pool.close()
    answers.wait(1)
    assert "closed" in str(answers.by_name["late"])
    with pytest.raises(MeasurementError, match="closed"):
        pool.submit(requests(1), answers.done("never"))
    with pytest.raises(MeasurementError, match="closed"):
        pool.predict(requests(1))


def test_done_may_submit_but_not_wait(open_pool: Open) -> None:
    """Its thread would wait for itself."""
    pool, answers = open_pool({}), Answers()
    caught: list[Exception] = []

    def first(answer: Predictions | Exception) -> None:
        del answer
        try:
            pool.predict(requests(1))
        except UsageError as problem:
            caught.append(problem)
        pool.submit(requests(2), answers.done("second"))

    pool.submit(requests(1), first)
    answers.wait(1)
    assert len(caught) == 1
    assert isinstance(answers.by_name["second"], Predictions)


def test_an_error_in_done_is_raised_at_the_next_call(open_pool: Open) -> None:
    """So no caller waits for ever."""
    pool = open_pool({})

    def fails(answer: Predictions | Exception) -> None:
        raise ValueError(f"a bug in reading {type(answer).__name__}")

    pool.submit(requests(1), fails)
    assert "a bug in reading Predictions" in str(first_error(pool))


def test_requests_that_arrive_at_a_rate_are_answered_side_by_side(open_pool: Open) -> None:
    """Four at once, 30 ms each, on two instances: the first two finish together."""
    pool = open_pool({"ms_per_token": 30})
    calls = [[request(str(number), 1)] for number in range(4)]
    timed = serve_arrivals(pool, calls, [0] * 4, 0, clock=time.perf_counter_ns)
    (timed_pass,) = timed.passes
    for number, answer in enumerate(timed_pass.answers):
        assert_same(answer, alone([request(str(number), 1)]))
    first, second, *_ = sorted(timed_pass.ends)
    assert second - first < 30_000_000
    assert all(
        end - begin >= 30_000_000 for begin, end in zip(timed_pass.begins, timed_pass.ends, strict=True)
    )


def test_closing_ends_all_instances_and_closes_their_systems(open_pool: Open, tmp_path: Path) -> None:
    """A second close does nothing."""
    pool = open_pool({"closed": str(tmp_path)})
    pids = pool.pids
    pool.close()
    pool.close()
    assert {path.name for path in tmp_path.iterdir()} == {str(pid) for pid in pids}
    assert all(gone(pid) for pid in pids)


def test_an_idle_pool_uses_no_cpu(open_pool: Open) -> None:
    """Neither the pool, also with a thread, nor its instances use the CPU while no call waits."""
    pool, answers = open_pool({}), Answers()
    pool.submit(requests(3), answers.done("first"))
    answers.wait(1)
    processes = [psutil.Process(), *map(psutil.Process, pool.pids)]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    time.sleep(0.5)
    used = [sum(process.cpu_times()[:2]) - start for process, start in zip(processes, before, strict=True)]
    assert max(used) < 0.1  # seconds of CPU time: a process that polls uses 0.5


PARENT = f"""
import sys
from pathlib import Path
import numpy as np
from harness.systems.interface import Artifact, EncodedSequence, Placement, Request, Settings
from harness.workload.tasks import get_task
from optimized.parallel.pool import PoolSystem

ids = np.arange(10)
batch = [Request(str(n), (EncodedSequence(ids, ids),)) for n in range(30)]
placement = Placement("cpu", {PAIR.cpus}, 1, 2)
artifact = Artifact(Path("nowhere"), "key", {{}})
pool = PoolSystem({{"ms_per_token": 5}}, get_task("boolq"), artifact, placement, Settings(),
                  loader="sleepy:variant_of", timeout_s=10.0)
print(*pool.pids, flush=True)
print(len(pool.predict(batch).logits), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Start a process with a pool, in a process group of its own; yield its instances' process ids too."""
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
    """Neither one at work nor a stopped one."""
    process, pids = parent
    assert len(pids) == 2
    os.kill(pids[0], signal.SIGSTOP)
    process.kill()
    process.wait()
    assert all(gone(pid) for pid in pids)


def test_a_process_group_that_is_stopped_and_continued_keeps_working(
    parent: tuple[subprocess.Popen[str], list[int]],
) -> None:
    """As a worker is between its visits; a stop does not count as a time-out."""
    parent_process, pids = parent
    processes = [psutil.Process(pid) for pid in (parent_process.pid, *pids)]
    for _ in range(3):
        os.killpg(parent_process.pid, signal.SIGSTOP)
        time.sleep(1.1)  # longer than the interval of 1 s between health checks
        assert {process.status() for process in processes} == {psutil.STATUS_STOPPED}
        os.killpg(parent_process.pid, signal.SIGCONT)
    assert parent_process.stdout
    assert parent_process.stdout.readline() == "30\n"
    assert all(process.is_running() for process in processes)


def test_an_instance_is_told_that_any_number_of_labels_may_hold() -> None:
    """Otherwise it would refuse the checkpoint, as one for another kind of task."""
    task = resolve_task(task_reference(tiny.multi_label_task()))
    assert (task.head, task.labels) == ("multi_label", ("lake", "winter", "people"))
