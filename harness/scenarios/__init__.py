"""How requests arrive: one file per scenario, one line here."""

from harness.errors import unknown_name
from harness.scenarios.base import Scenario
from harness.scenarios.batch import BATCH
from harness.scenarios.offline import OFFLINE
from harness.scenarios.server import SERVER
from harness.scenarios.single_stream import SINGLE_STREAM

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (SINGLE_STREAM, BATCH, OFFLINE, SERVER)
}


def get_scenario(name: str) -> Scenario:
    """Return the scenario of this name; UsageError with the nearest names if there is none."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise unknown_name("scenario", name, SCENARIOS) from None
