"""The estimates that costs are computed from, as JSON: what the index keeps, so that prices stay an option.

time, energy of a request --cost_basis--> JSON --read_cost_basis--> time, energy of a request
"""

import json
from dataclasses import asdict
from typing import Any

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.estimate import Estimate, Unavailable


def cost_basis(time: Estimate | Unavailable, energy: EnergyEstimate | Unavailable) -> str:
    """Return time and energy of a request as JSON, every digit kept."""
    return json.dumps([asdict(time), asdict(energy)])


def read_cost_basis(text: str) -> tuple[Estimate | Unavailable, EnergyEstimate | Unavailable]:
    """Return time and energy of a request as they were written."""
    time, energy = json.loads(text)
    return _estimate(time), Unavailable(**energy) if "reason" in energy else _energy(energy)


def _estimate(fields: dict[str, Any]) -> Estimate | Unavailable:
    return Unavailable(**fields) if "reason" in fields else Estimate(**fields)


def _energy(fields: dict[str, Any]) -> EnergyEstimate:
    return EnergyEstimate(**{**fields, "microjoules": Estimate(**fields["microjoules"])})
