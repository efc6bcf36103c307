"""The table of scenarios, which describe how requests arrive: each is one file, and one line here."""

from harness.common.errors import unknown_name
from harness.workload.scenarios.base import Scenario
from harness.workload.scenarios.batch import BATCH
from harness.workload.scenarios.offline import OFFLINE
from harness.workload.scenarios.server import SERVER
from harness.workload.scenarios.single_stream import SINGLE_STREAM

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (SINGLE_STREAM, BATCH, OFFLINE, SERVER)
}


def get_scenario(name: str) -> Scenario:
    """Return the scenario of this name; UsageError with the nearest names where there is none."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise unknown_name("scenario", name, SCENARIOS) from None
