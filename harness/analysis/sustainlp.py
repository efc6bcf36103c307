"""Reporting by another's protocol, beside ours: the energy metric of the SustaiNLP 2020 shared task.

    kWh = J / 3.6e6 x PUE        of a whole process: imports, loading, tokenising, predicting

Its tracker (experiment-impact-tracker, Henderson et al. 2020) summed up power samples of 2 s, credited a
process with its share of the machine's CPU time, and multiplied by a data centre's power usage effectiveness.
Here the meter is read when a program starts and when it ends. So unit and coverage are alike, and attribution
is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.analysis.statistics.estimates import EnergyEstimate, energy_per_request
from harness.common.errors import UsageError, unknown_name
from harness.records.estimate import Unavailable
from harness.records.record import Record

SUSTAINLP2020 = "sustainlp2020"
PROTOCOLS = (SUSTAINLP2020,)

PUE = 1.58
"""Power usage effectiveness that the tracker multiplies by (experiment_impact_tracker/utils.py)."""

PUE_VARIABLE = "OVERRIDE_PUE"
"""The environment variable by which the tracker lets users replace it."""

SCALE = "SustaiNLP 2020 scale: unit and coverage alike, attribution not"

MICROJOULES_PER_KWH = 3.6e12


@dataclass(frozen=True, slots=True)
class ProtocolEnergy:
    """Energy of one whole process: in microjoules as it was read, and in kWh times `pue`."""

    energy: EnergyEstimate
    kwh: float
    low_kwh: float
    high_kwh: float
    pue: float
    examples: int


def protocol_settings(name: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what a record says of the protocol that was asked for; None if none was.

    UsageError for a protocol that is not known, or a PUE that is no number of 1 or more.
    """
    if not name:
        return None
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return {"name": name, "pue": _pue(environ)}


def protocol_of(record: Record) -> Mapping[str, Any] | None:
    """Return the protocol that a record was measured by, or None."""
    found = record.configuration.get("protocol")
    return found if isinstance(found, Mapping) else None


def kwh(microjoules: float, pue: float) -> float:
    """Return kilowatt hours with a data centre's overhead."""
    return microjoules / MICROJOULES_PER_KWH * pue


def protocol_energy(record: Record) -> ProtocolEnergy | Unavailable:
    """Return the energy of one start of the program, over all that it was asked, on that scale."""
    protocol, energy = protocol_of(record), energy_per_request(record.rounds)
    if protocol is None:
        return Unavailable("it was not measured by this protocol")
    if isinstance(energy, Unavailable):
        return energy
    examples = {item.requests for item in record.rounds}
    if len(examples) > 1:
        return Unavailable("its starts were not asked the same number of examples")
    (count,), found, pue = examples, energy.microjoules, float(protocol["pue"])
    whole = replace(found, value=found.value * count, low=found.low * count, high=found.high * count)
    return ProtocolEnergy(
        energy=replace(energy, microjoules=whole),
        kwh=kwh(whole.value, pue),
        low_kwh=kwh(whole.low, pue),
        high_kwh=kwh(whole.high, pue),
        pue=pue,
        examples=count,
    )


def _pue(environ: Mapping[str, str]) -> float:
    text = environ.get(PUE_VARIABLE, "")
    if not text:
        return PUE
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value < float("inf"):
        raise UsageError(
            f"{PUE_VARIABLE} is {text!r}, which is no power usage effectiveness.",
            remedy=f"Set it to a number of 1 or more, or unset it: then {PUE} is used.",
        )
    return value
