"""Files of power curves for tests."""

import json
from pathlib import Path
from typing import Any

from harness.measurement.energy.cpu.models.power_curve_file import read_curves
from harness.measurement.energy.cpu.models.power_curves import PowerCurves

A, B = {"0": 1, "10": 2, "50": 4, "100": 6}, {"0": 3, "100": 7}


def a_file(folder: Path, name: str = "curves.json", **changes: Any) -> Path:
    """Write a file of two processors and three instances; an argument changes a field."""
    fields = {
        "source": "a laboratory",
        "licence": "CC0",
        "date": "2026-01-01",
        "processors": {"A": {"watts": A}, "B": {"watts": B, "low": {"0": 1, "100": 5}, "high": B}},
        "instances": {
            "a.large": {"vcpus": 2, "processors": ["A"]},
            "ab.large": {"vcpus": 2, "processors": ["A", "B"]},
            "a.own": {"vcpus": 2, "processors": ["A"], "watts": {"0": 1, "100": 16}},
        },
    }
    path = folder / name
    path.write_text(json.dumps(fields | changes), encoding="utf-8")
    return path


def curves(folder: Path) -> PowerCurves:
    """Return the curves of that file."""
    return read_curves(a_file(folder))
