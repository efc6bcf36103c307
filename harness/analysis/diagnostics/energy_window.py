"""Warnings about the length of energy windows, by what the meter's own check asked for."""

from harness.analysis.diagnostics.base import EnergyRule, ResultWarning, name_of
from harness.analysis.statistics.estimates import EnergyWindows
from harness.records.estimate import Unavailable
from harness.records.record import Record

COARSE = 20
"""Where a window is known worse than to 5 %, another warning says so already (`diagnostics/energy.py`)."""


def _short_for_the_meter(record: Record, windows: EnergyWindows | Unavailable) -> ResultWarning | None:
    check = record.energy.check or {}
    least_s = check.get("least_window_ms", 0) / 1e3
    if not least_s or isinstance(windows, Unavailable):
        return None
    shortest_s = min(reading.span_ns for item in record.rounds for reading in item.readings) / 1e9
    if shortest_s >= least_s or (COARSE * windows.resolution_uj > windows.microjoules).any():
        return None
    error = f"{100 * check.get('error', 0.01):g} %"
    sentence = (
        f"{name_of(record)}: its shortest window lasts {shortest_s:.3g} s, "
        f"and the meter ({record.energy.meter}) needs {least_s:.3g} s to be sure of {error}."
    )
    return ResultWarning("short-for-meter", sentence, _longer(record, least_s))


def _longer(record: Record, least_s: float) -> str:
    """Return the step that makes windows longer, given what the user asked for."""
    if record.cell.boundary == "process":
        return "Raise --limit, so that each start of a program answers more requests."
    if record.configuration.get("window_ms") is not None:
        return "Leave out --window: visits are then as long as the meter needs, up to 30 s."
    return f"Say --window {least_s:.3g}s, or read a meter that steps more often (`bench doctor`)."


RULES: tuple[EnergyRule, ...] = (_short_for_the_meter,)
