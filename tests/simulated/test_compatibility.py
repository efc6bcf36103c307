"""Every row of docs/reference/compatibility.md: a machine is built, and the meter reads what it states."""

from pathlib import Path

import pytest
from devtools.compatibility import page
from simulation.hosts import Case, cases

ROOT = Path(__file__).parents[2]
CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.machine}: {case.meter}" for case in CASES])
def test_a_meter_reads_on_a_machine_what_the_page_states(case: Case, tmp_path: Path) -> None:
    """Ten seconds at known watts: the right joules with their scope, or the reason for none."""
    assert case.run(tmp_path) == case.outcome


def test_the_page_is_what_its_command_makes() -> None:
    """Nothing stands in it that is not in the tables."""
    assert (ROOT / "docs" / "reference" / "compatibility.md").read_text(encoding="utf-8") == page()
