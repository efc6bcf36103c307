"""The energy metric of the SustaiNLP 2020 shared task, reported beside ours.

    kWh = PUE / 3.6e6 x ((package - dram) x CPU share + dram x memory share + boards)        in joules

Its tracker (experiment-impact-tracker, Henderson et al. 2020, cpu/intel.py and utils.py) adds the packages of
all sockets and the NVIDIA boards. It takes DRAM as a part of the package, credits it by the process's share
of memory, and credits the rest by the process's share of the machine's CPU time. It samples power for 2 s at
a time, from its launch after argument parsing, and multiplies by the power usage effectiveness (PUE) of a
data centre. Here the same terms come from counters that are read when a program starts and when it ends.
`reports.tables.sustainlp` lists how each term is covered.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.statistics.estimates import EnergyEstimate, EnergyWindows, energies_of, unusable
from harness.common.errors import UsageError, unknown_name
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import BOARDS, MODELLED_SHARES, Grade, Reading
from harness.records.record import Record, Round

SUSTAINLP2020 = "sustainlp2020"
PROTOCOLS = (SUSTAINLP2020,)

PUE = 1.58
"""Power usage effectiveness of the tracker (experiment_impact_tracker/utils.py)."""

PUE_VARIABLE = "OVERRIDE_PUE"
"""The environment variable of the tracker that overrides it."""

SCALE = "SustaiNLP 2020 scale: the tracker's formula, over a window that also holds the imports"

MICROJOULES_PER_KWH = 3.6e12

MEMORY_SHARES = (0.0, 2.0)
"""The memory share is not recorded. The tracker adds USS and PSS, so memory of one process counts twice."""

NO_PROCESSOR = (
    "the tracker adds the packages to the boards, and no counter of the processor was read beside the board"
)


@dataclass(frozen=True, slots=True)
class TrackerTerms:
    """The terms of the tracker's formula in one window, in microjoules; None for what no zone reads.

    `processor` is the sum of the packages, or of a model that has the process's share in it already (then
    `is_share` is true). `cpu_share` is the process's share of all CPU time, None if it was not recorded.
    """

    processor: float
    dram: float | None = None
    boards: float | None = None
    cpu_share: float | None = None
    is_share: bool = False
    grade: Grade = "measured"
    resolution: float = 0.0

    def credited(self, memory_share: float | None = None) -> float:
        """Return the energy that the tracker credits to the process; by default DRAM as the processor is.

        A share that was not recorded counts as 1: nothing else ran on the machine.
        """
        share = 1.0 if self.is_share or self.cpu_share is None else self.cpu_share
        dram = self.dram or 0.0
        memory = share if memory_share is None else memory_share
        return (self.processor - dram) * share + dram * memory + (self.boards or 0.0)


@dataclass(frozen=True, slots=True)
class ProtocolEnergy:
    """Energy of one start of a program by the tracker's formula, in kWh times `pue`.

    `terms` are medians over the starts, in microjoules a start; `seconds` is the length of a start,
    `sources` are those of the readings.
    """

    terms: TrackerTerms
    kwh: float
    low_kwh: float
    high_kwh: float
    pue: float
    examples: int
    seconds: float
    sources: tuple[str, ...]


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
    """Return the energy of one start of the program over all its requests, by this protocol.

    The interval is that of the starts, widened by the meter's resolution and by the memory share, which
    lies anywhere between `MEMORY_SHARES`.
    """
    protocol = protocol_of(record)
    if protocol is None:
        return Unavailable("it was not measured by this protocol")
    if absent := unusable(record.rounds):
        return absent
    windows = [tracker_terms(item) for item in record.rounds]
    for window in windows:
        if isinstance(window, Unavailable):
            return window
    terms = [window for window in windows if isinstance(window, TrackerTerms)]
    if (
        len({(window.grade, window.is_share, window.dram is None, window.boards is None) for window in terms})
        > 1
    ):
        return Unavailable("the rounds were read by different meters or at different grades")
    examples = {item.requests for item in record.rounds}
    if len(examples) > 1:
        return Unavailable("the starts of the program answered different numbers of examples")
    launches, pue = [item.launch for item in record.rounds], float(protocol["pue"])
    middle, low, high = (_estimate(terms, launches, share) for share in (None, *MEMORY_SHARES))
    return ProtocolEnergy(
        terms=_medians(terms),
        kwh=kwh(middle.value, pue),
        low_kwh=kwh(low.low, pue),
        high_kwh=kwh(high.high, pue),
        pue=pue,
        examples=examples.pop(),
        seconds=statistics.median(item.wall_ns for item in record.rounds) / 1e9,
        sources=tuple(dict.fromkeys(reading.source for reading in record.rounds[0].readings)),
    )


def tracker_terms(item: Round) -> TrackerTerms | Unavailable:
    """Return the terms of one window, or why the tracker's formula cannot be computed from its zones."""
    readings = item.readings
    lost = next((reading for reading in readings if reading.microjoules is None), None)
    if lost:
        return Unavailable(f"{lost.zone}: {lost.reason}")
    packages = [reading for reading in readings if reading.scope == "package"]
    shares = [reading for reading in readings if reading.scope in MODELLED_SHARES]
    boards = [reading for reading in readings if reading.scope in BOARDS]
    dram = [reading for reading in readings if reading.scope == "dram"]
    if not packages and not shares:
        return Unavailable(NO_PROCESSOR if boards else _other_scope(readings))
    used = [*(packages or shares), *dram, *boards]
    if len(grades := {reading.grade for reading in used}) > 1:
        return Unavailable(f"readings of different grades ({' and '.join(sorted(grades))}) are never summed")
    return TrackerTerms(
        processor=_sum(packages or shares) or 0.0,
        dram=_sum(dram),
        boards=_sum(boards),
        cpu_share=None if shares else cpu_share(item),
        is_share=bool(shares),
        grade=used[0].grade,
        resolution=sum(reading.resolution_uj for reading in used),
    )


def cpu_share(item: Round) -> float | None:
    """Return the process's share of the CPU time of all processes in its window; None if not recorded.

    The CPU time of others was watched over the whole visit, which is a little longer than the window.
    """
    others = (item.foreign_cpu_ns, item.elsewhere_cpu_ns, item.parent_cpu_ns)
    known = [time_ns for time_ns in others if time_ns is not None]
    if len(known) < len(others) or not item.watched_ns or not item.cpu_ns:
        return None
    return item.cpu_ns / (item.cpu_ns + sum(known) * item.wall_ns / item.watched_ns)


def _other_scope(readings: Sequence[Reading]) -> str:
    scopes = ", ".join(dict.fromkeys(reading.scope for reading in readings))
    return (
        f"the tracker adds packages and boards, and the meter reads {scopes}"
        if scopes
        else "no meter was read"
    )


def _sum(readings: Sequence[Reading]) -> float | None:
    return float(sum(reading.microjoules or 0 for reading in readings)) if readings else None


def _estimate(terms: Sequence[TrackerTerms], launches: Sequence[int], memory_share: float | None) -> Estimate:
    windows = EnergyWindows(
        np.array([window.credited(memory_share) for window in terms]),
        np.array([window.resolution for window in terms]),
        *(terms[0].grade, "process share", SUSTAINLP2020),
    )
    energy: EnergyEstimate = energies_of([(windows, launches, None)])[0]
    return energy.microjoules


def _medians(terms: Sequence[TrackerTerms]) -> TrackerTerms:
    def median(name: str) -> float | None:
        values = [value for window in terms if (value := getattr(window, name)) is not None]
        return statistics.median(values) if len(values) == len(terms) else None

    return TrackerTerms(
        processor=median("processor") or 0.0,
        dram=median("dram"),
        boards=median("boards"),
        cpu_share=median("cpu_share"),
        is_share=terms[0].is_share,
        grade=terms[0].grade,
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
