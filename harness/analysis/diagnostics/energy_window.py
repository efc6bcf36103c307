"""Warnings about the length of energy windows, compared with what the check of the meter requires."""

from harness.analysis.diagnostics.base import EnergyRule, ResultWarning, name_of
from harness.analysis.diagnostics.energy import SHORT_WINDOW
from harness.analysis.statistics.estimates import EnergyWindows
from harness.records.estimate import Unavailable
from harness.records.record import Record


def _short_for_the_meter(record: Record, windows: EnergyWindows | Unavailable) -> ResultWarning | None:
    check = record.energy.check or {}
    required_s = check.get("least_window_ms", 0) / 1e3
    if not required_s or isinstance(windows, Unavailable):
        return None
    shortest_s = min(reading.span_ns for item in record.rounds for reading in item.readings) / 1e9
    has_other_warning = (SHORT_WINDOW * windows.resolution_uj > windows.microjoules).any()  # energy-window
    if shortest_s >= required_s or has_other_warning:
        return None
    error = f"{100 * check.get('error', 0.01):g} %"
    sentence = (
        f"{name_of(record)}: its shortest window lasts {shortest_s:.3g} s, "
        f"and the meter ({record.energy.meter}) needs {required_s:.3g} s for an error of at most {error}."
    )
    return ResultWarning("short-for-meter", sentence, _longer(record, required_s))


def _longer(record: Record, required_s: float) -> str:
    """Return how to make windows longer, given the options of the run."""
    if record.cell.boundary == "process":
        return "Raise --limit, so that each start of the program answers more requests."
    if record.configuration.get("window_ms") is not None:
        return "Leave out --window: visits are then as long as the meter needs, up to 30 s."
    return f"Set --window {required_s:.3g}s, or use a meter that updates more often (`bench doctor`)."


RULES: tuple[EnergyRule, ...] = (_short_for_the_meter,)
