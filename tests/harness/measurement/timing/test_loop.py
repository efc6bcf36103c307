import time
from collections.abc import Sequence

import pytest

from harness.measurement.energy.fake import FakeMeter
from harness.measurement.timing.loop import CALLS_AT_MOST, loop_ns_per_request, run_visit
from harness.systems.interface import Predictions, Request
from harness.testing.clock import FakeClock
from harness.testing.system import FakeSystem
from harness.workload.tasks import get_task

REQUESTS = [Request(str(index), ()) for index in range(3)]


class Counting(FakeSystem):
    """Takes 100 ns a call, and remembers the calls."""

    calls: list[list[str]]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        self.calls.append([request.id for request in requests])
        self.clock.advance(100)
        return Predictions.__new__(Predictions)


def counting(clock: FakeClock) -> Counting:
    system = Counting(get_task("boolq"), clock, 0)
    system.calls = []
    return system


def test_warm_up_calls_are_answered_but_not_recorded() -> None:
    """Two warm-up calls, three recorded ones of 100 ns each; the clock itself takes no time."""
    clock = FakeClock()
    system = counting(clock)
    calls = [(request,) for request in REQUESTS]
    visit = run_visit(system, calls, warmup=calls[:2], clock=clock, cpu_clock=clock, meter=None)
    assert system.calls == [["0"], ["1"], ["0"], ["1"], ["2"]]
    assert visit.call_ns == (100, 100, 100)
    assert visit.wall_ns == 300
    assert visit.readings == ()


def test_the_window_spans_from_before_the_first_call_to_after_the_last() -> None:
    """Each read of the clock takes 10 ns: a call lasts 110 ns, and 10 ns pass between two calls."""
    clock = FakeClock(step_ns=10)
    system = counting(clock)
    visit = run_visit(
        system, [(r,) for r in REQUESTS], warmup=(), clock=clock, cpu_clock=FakeClock(), meter=None
    )
    assert visit.call_ns == (110, 110, 110)
    assert visit.gap_ns == (0, 10, 10)
    assert visit.wall_ns == 3 * 110 + 2 * 10


def test_the_meter_reads_the_energy_of_the_same_window() -> None:
    """20 W for 300 ns are 6 uJ."""
    clock = FakeClock()
    calls = [(r,) for r in REQUESTS]
    visit = run_visit(
        counting(clock), calls, warmup=(), clock=clock, cpu_clock=clock, meter=FakeMeter(20.0, clock)
    )
    (reading,) = visit.readings
    assert reading.microjoules == 6
    assert reading.span_ns == 300


def test_one_call_may_hold_all_requests() -> None:
    """Offline: one call, one duration."""
    clock = FakeClock()
    system = counting(clock)
    visit = run_visit(system, [REQUESTS], warmup=(), clock=clock, cpu_clock=clock, meter=None)
    assert system.calls == [["0", "1", "2"]]
    assert visit.call_ns == (100,)


def test_a_systems_error_is_not_swallowed() -> None:
    """The loop measures; it never repairs."""
    clock = FakeClock()
    system = FakeSystem(get_task("boolq"), clock, 1, fails=None)
    with pytest.raises(KeyError):
        run_visit(system, [REQUESTS], warmup=(), clock=clock, cpu_clock=clock, meter=None)


def test_the_loops_own_cost_is_measured_on_the_given_clock() -> None:
    """If each read of the clock takes 10 ns, begin and end of n requests are 2n - 1 reads apart."""
    cost = loop_ns_per_request(FakeClock(step_ns=10), requests=100)
    assert cost == pytest.approx((2 * 100 - 1) * 10 / 100)
    assert loop_ns_per_request(time.perf_counter_ns, requests=10) > 0


def test_a_window_repeats_whole_passes_until_it_is_long_enough() -> None:
    """Three calls of 100 ns: 300, 600, 900 ns. A window of 700 takes three passes, one of 600 takes two."""
    for window_ns, passes in ((0, 1), (300, 1), (600, 2), (700, 3)):
        clock = FakeClock()
        system = counting(clock)
        calls = [(request,) for request in REQUESTS]
        visit = run_visit(
            system, calls, warmup=(), clock=clock, cpu_clock=clock, meter=None, window_ns=window_ns
        )
        assert visit.passes == passes
        assert system.calls == [["0"], ["1"], ["2"]] * passes
        assert visit.call_ns == (100,) * 3 * passes
        assert len(visit.predictions) == 3 * passes
        assert visit.wall_ns == 300 * passes == sum(visit.call_ns) + sum(visit.gap_ns)


def test_a_window_ends_at_its_limit_however_short_the_calls_are() -> None:
    """Calls that take no time would otherwise go on for ever."""
    clock = FakeClock()
    system = FakeSystem(get_task("boolq"), clock, 0)
    system._targets = {"0": (1,)}
    calls = [(Request("0", ()),)] * 25_000
    visit = run_visit(system, calls, warmup=(), clock=clock, cpu_clock=clock, meter=None, window_ns=10**9)
    assert len(visit.call_ns) == CALLS_AT_MOST


def test_further_counters_are_read_at_both_edges_of_the_window() -> None:
    """Each moves by itself: 7 and 5 between two readings."""
    readings = iter([(100, 20), (107, 25)])
    clock = FakeClock()
    visit = run_visit(
        counting(clock),
        [(r,) for r in REQUESTS],
        warmup=(),
        clock=clock,
        cpu_clock=clock,
        meter=None,
        counters=lambda: next(readings),
    )
    assert visit.counts == (7, 5)
