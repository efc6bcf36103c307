"""Writes codecarbon's `emissions.csv`: a row a record, with its names and units (s, kWh, kg, W).

Only what is known stands in a row: no place, no cloud, no memory modelled by the number of its modules. After
codecarbon's columns come four of ours: whether joules were measured or modelled, what they cover, what read
them, and a note. So readers that go by name find what they know, and codecarbon itself, whose own file has no
such columns, puts this one aside rather than adding rows of another method to it.
"""

import csv
import io
from typing import Any

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.reading import Reading
from harness.records.record import Record
from reports.layout.cell_factory import MODELLED
from reports.layout.escaping import safe
from reports.layout.style import Style
from reports.report import Report
from reports.values.figures import Figures
from reports.values.prices import Grid

COLUMNS = (
    *("timestamp", "project_name", "run_id", "experiment_id", "duration", "emissions", "emissions_rate"),
    *("cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"),
    *("water_consumed", "country_name", "country_iso_code", "region", "cloud_provider", "cloud_region", "os"),
    *("python_version", "codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model"),
    *("longitude", "latitude", "ram_total_size", "tracking_mode", "cpu_utilization_percent"),
    *("gpu_utilization_percent", "ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"),
)
"""codecarbon 3's, in its order; what we do not know stays empty."""

OURS = ("grade", "scope", "source", "note")

_UJ_PER_KWH = 3.6e12
_PARTS = {"package": "cpu", "process share": "cpu", "dram": "ram", "board": "gpu"}
"""Which of codecarbon's three parts a zone is of; any other scope counts in the whole only."""


def as_csv(book: Report, style: Style) -> str:
    """Return a row for each record that was timed; emissions only where a grid's intensity was named."""
    del style
    out = io.StringIO()
    lines = csv.DictWriter(out, (*COLUMNS, *OURS), restval="", lineterminator="\n")
    lines.writeheader()
    for item in (item for group in book.every for item in group):
        if item.record.rounds:
            words = {**_about(item.record), **_energy(item, book.factors.grid)}
            lines.writerow({name: _cell(value) for name, value in words.items() if value is not None})
    return out.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401 -- a text or a number
    return safe(value) if isinstance(value, str) else value


def _about(record: Record) -> dict[str, Any]:
    facts = record.host.facts
    return {
        "timestamp": record.created[:19],
        "project_name": f"{record.cell.task}/{record.cell.variant}",
        "run_id": record.run,
        "experiment_id": record.cell.id,
        "duration": _seconds(record),
        "os": None if facts.get("kernel") is None else f"Linux {facts['kernel']}",
        "python_version": record.software.get("python"),
        "cpu_count": facts.get("logical_cpus"),
        "cpu_model": facts.get("cpu_model"),
        "ram_total_size": facts.get("ram_gib"),
    }


def _energy(item: Figures, grid: Grid | None) -> dict[str, Any]:
    """Return kWh of the whole and of its parts, and kilograms where a grid is known."""
    found, record = item.whole or item.energy, item.record
    if not isinstance(found, EnergyEstimate):
        return {"grade": "unavailable", "note": str(found)}
    parts = _parts(record)
    whole = sum(parts.values())
    seconds = _seconds(record)
    words: dict[str, Any] = {
        "energy_consumed": whole,
        "grade": found.grade,
        "scope": found.scope,
        "source": found.source,
    }
    for part in ("cpu", "gpu", "ram"):
        if part in parts:
            words |= {f"{part}_energy": parts[part], f"{part}_power": parts[part] * 3.6e6 / seconds}
    notes = [MODELLED] if found.grade == "modelled" else []
    if grid:
        kilograms = whole * grid.grams_per_kwh / 1e3
        words |= {"emissions": kilograms, "emissions_rate": kilograms / seconds}
        notes.append(f"{grid.grams_per_kwh:g} g/kWh: {grid.source}")
    return {**words, "note": " ".join(notes)}


def _parts(record: Record) -> dict[str, float]:
    """Return kWh by codecarbon's part, or under `other`: all zones of all rounds."""
    found: dict[str, float] = {}
    for turn in record.rounds:
        for reading in turn.readings:
            part = _part(reading)
            found[part] = found.get(part, 0.0) + (reading.microjoules or 0) / _UJ_PER_KWH
    return found


def _part(reading: Reading) -> str:
    return _PARTS.get(reading.scope, "other")


def _seconds(record: Record) -> float:
    return sum(turn.wall_ns for turn in record.rounds) / 1e9
