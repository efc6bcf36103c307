"""The energy metric of the SustaiNLP 2020 shared task, reported beside ours.

    kWh = J / 3.6e6 x PUE        of a whole process: imports, loading, tokenising, predicting

Its tracker (experiment-impact-tracker, Henderson et al. 2020) sums power samples of 2 s, attributes a share
of them to a process by its share of the machine's CPU time, and multiplies by the power usage effectiveness
(PUE) of a data centre. Here the meter is read when a program starts and when it ends. Unit and coverage are
therefore the same, and attribution is not.
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
"""Power usage effectiveness of the tracker (experiment_impact_tracker/utils.py)."""

PUE_VARIABLE = "OVERRIDE_PUE"
"""The environment variable of the tracker that overrides it."""

SCALE = "SustaiNLP 2020 scale: unit and coverage alike, attribution not"

MICROJOULES_PER_KWH = 3.6e12


@dataclass(frozen=True, slots=True)
class ProtocolEnergy:
    """Energy of one whole process: in microjoules as read, and in kWh times `pue`."""

    energy: EnergyEstimate
    kwh: float
    low_kwh: float
    high_kwh: float
    pue: float
    examples: int


def protocol_settings(name: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the settings of the requested protocol for the record; None without a protocol.

    UsageError for an unknown protocol, or a PUE that is not a finite number of 1 or more.
    """
    if not name:
        return None
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return {"name": name, "pue": _pue(environ)}


def protocol_of(record: Record) -> Mapping[str, Any] | None:
    """Return the protocol that a record was measured by, or None."""
    protocol = record.configuration.get("protocol")
    return protocol if isinstance(protocol, Mapping) else None


def kwh(microjoules: float, pue: float) -> float:
    """Return kilowatt hours, including the overhead of a data centre."""
    return microjoules / MICROJOULES_PER_KWH * pue


def protocol_energy(record: Record) -> ProtocolEnergy | Unavailable:
    """Return the energy of one start of the program over all its requests, by this protocol."""
    protocol, energy = protocol_of(record), energy_per_request(record.rounds)
    if protocol is None:
        return Unavailable("it was not measured by this protocol")
    if isinstance(energy, Unavailable):
        return energy
    examples = {item.requests for item in record.rounds}
    if len(examples) > 1:
        return Unavailable("the starts of the program answered different numbers of examples")
    (count,), request, pue = examples, energy.microjoules, float(protocol["pue"])
    whole = replace(request, value=request.value * count, low=request.low * count, high=request.high * count)
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
            f"{PUE_VARIABLE} must be a number of 1 or more, got {text!r}.",
            remedy=f"Set it to a power usage effectiveness, or unset it to use {PUE}.",
        )
    return value
