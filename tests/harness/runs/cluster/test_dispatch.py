from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from harness.runs.cluster.dispatch import HostLost, dispatch, queues_of
from harness.runs.cluster.point import Point, PointResult

SOUND = PointResult(0, {"r1": {}})


def points(count: int) -> list[Point]:
    return [Point("job", f"{number:03d}-boolq", ("--seed", str(number)), "/", {}) for number in range(count)]


@dataclass
class FakeHost:
    """A host that is lost at its n-th point, or never."""

    name: str
    lost_at: int = -1
    result: PointResult = SOUND
    ran: list[str] = field(default_factory=list)

    def run(self, point: Point) -> PointResult:
        if len(self.ran) == self.lost_at:
            raise HostLost("its node is lost.", where=self.name)
        self.ran.append(point.name)
        return self.result


def ended(hosts: Sequence[FakeHost], count: int, *, split: bool) -> dict[tuple[str, str], bool]:
    """Return whether each (host, point) is sound."""
    queues = queues_of(len(hosts), points(count), "split" if split else "same")
    outcomes = dispatch(hosts, queues, lambda _message: None)
    return {(outcome.host, outcome.point): outcome.is_sound for outcome in outcomes}


def test_the_same_points_run_on_every_host() -> None:
    """In the order of the sweep."""
    hosts = [FakeHost("a"), FakeHost("b")]
    assert all(ended(hosts, 3, split=False).values())
    assert [host.ran for host in hosts] == [["000-boolq", "001-boolq", "002-boolq"]] * 2


def test_split_points_run_once_each() -> None:
    """On whichever host is free."""
    hosts = [FakeHost("a"), FakeHost("b")]
    outcomes = ended(hosts, 5, split=True)
    assert sorted(point for _, point in outcomes) == [point.name for point in points(5)]
    assert sorted(hosts[0].ran + hosts[1].ran) == [point.name for point in points(5)]


def test_a_lost_host_is_named_with_what_it_did_not_finish_and_others_go_on() -> None:
    """Its sealed points stay; what it did not begin is named as well."""
    assert ended([FakeHost("a", lost_at=1), FakeHost("b")], 3, split=False) == {
        ("a", "000-boolq"): True,
        ("a", "001-boolq"): False,
        ("b", "000-boolq"): True,
        ("b", "001-boolq"): True,
        ("b", "002-boolq"): True,
        ("", "002-boolq"): False,
    }


def test_points_that_no_host_is_left_for_are_named() -> None:
    """Both hosts are lost at once."""
    outcomes = ended([FakeHost("a", lost_at=0), FakeHost("b", lost_at=0)], 3, split=True)
    assert sorted(outcomes.values()) == [False] * 3
    assert ("", "002-boolq") in outcomes


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (PointResult(5, {"r1": {}}, (), ("a cell failed",)), "ended with exit 5: a cell failed"),
        (PointResult(-9, {}, ("r2",), ("killed",)), r"ended with exit -9 (r2 can be resumed): killed"),
    ],
)
def test_a_point_that_did_not_end_well_says_how(result: PointResult, text: str) -> None:
    """With the last message of its `bench run`, and the run that can be resumed."""
    (outcome,) = dispatch([FakeHost("a", result=result)], queues_of(1, points(1), "same"), lambda _: None)
    assert (outcome.is_sound, outcome.text) == (False, text)
