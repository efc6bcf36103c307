from pathlib import Path

import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import UsageError
from harness.records.plan import Plan
from harness.records.store import Store
from harness.runs.execution.changes import check_unchanged
from harness.runs.execution.run import start
from harness.runs.planning.options import RunOptions
from harness.testing.world import altered


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def plan(world: World) -> Plan:
    options = RunOptions("boolq", data=boolq_folder(world.root), rounds=7)
    return start(options, world.catalog, Store(world.store), world.cache, world.machine, Heard()).plan


def test_nothing_is_refused_where_nothing_changed(world: World, plan: Plan) -> None:
    """Not in a plan of an earlier version either, which has no facts but the fingerprint."""
    check_unchanged(plan, "r", world.machine)
    check_unchanged(plan.model_copy(update={"host": None, "software": {}}), "r", world.machine)


def test_a_changed_machine_is_named_fact_by_fact_as_it_was_and_as_it_is(world: World, plan: Plan) -> None:
    """Two facts differ, one of which was not there before."""
    host = world.machine.host()
    fact, value = next(iter(host.facts.items()))
    facts = {**host.facts, fact: "another", "new": "fact"}
    other = host.model_copy(update={"fingerprint": "c" * 64, "facts": facts})
    machine = altered(world.machine, host=lambda: other)
    with pytest.raises(UsageError) as refusal:
        check_unchanged(plan, "r", machine)
    assert refusal.value.message == (
        f"the run began on another machine, or this one has changed since: {fact}: {value}, now another; "
        "new: unavailable, because the kernel does not tell, now fact."
    )


def test_changed_software_is_named_with_both_versions(world: World, plan: Plan) -> None:
    """Another version, and a distribution that was not installed."""
    machine = altered(world.machine, software=lambda: {"python": "3.12.0", "torch": "2.9"})
    with pytest.raises(UsageError) as refusal:
        check_unchanged(plan, "r", machine)
    assert refusal.value.message == (
        "the software has changed since the run began: python: 3.11.0, now 3.12.0; "
        "torch: not installed, now 2.9."
    )


def test_changed_data_are_named_with_both_hashes(world: World, plan: Plan) -> None:
    """Before anything is prepared."""
    boolq_folder(world.root, rows=99)
    with pytest.raises(UsageError, match=f"sha256 {plan.data.fingerprint[:16]}, now ") as refusal:
        check_unchanged(plan, "r", world.machine)
    assert refusal.value.where == "boolq/val"
