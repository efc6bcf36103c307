"""Literal records for tests: `a_record` is a sound one, and each argument changes one thing about it."""

from collections.abc import Sequence
from typing import Any

from harness.records.estimate import Estimate
from harness.records.reading import Reading
from harness.records.record import (
    ArtifactFacts,
    CellFacts,
    DataFacts,
    EnergyFacts,
    HarnessOverhead,
    Host,
    Memory,
    ModelFacts,
    Percentile,
    PlacementFacts,
    Quality,
    Record,
    Round,
)

ROUNDS_MS = (500.0, 510.0, 490.0, 505.0, 495.0, 500.0, 502.0)


def a_reading(microjoules: int | None, **changes: Any) -> Reading:
    """Return a measured reading of one package, or an unavailable one for None."""
    facts: dict[str, Any] = {
        "zone": "package-0",
        "grade": "measured",
        "scope": "package",
        "source": "powercap",
        "microjoules": microjoules,
        "span_ns": 1_000_000_000,
        "resolution_uj": 0,
        "samples": 2,
    }
    if microjoules is None:
        facts |= {"grade": "unavailable", "reason": "permission was denied"}
    return Reading(**facts | changes)


def rounds(
    wall_ms: Sequence[float],
    *,
    requests: int = 100,
    joules: Sequence[float | None] | None = None,
    reading: dict[str, Any] | None = None,
    launches: int = 1,
) -> tuple[Round, ...]:
    """Return one round per duration, dealt out to launches in blocks; by default each draws 20 watts."""
    spent = joules if joules is not None else [wall * 0.02 for wall in wall_ms]
    per_launch = -(-len(wall_ms) // launches)
    return tuple(
        Round(
            index=index % per_launch,
            slice=index % per_launch,
            position=0,
            launch=index // per_launch,
            requests=requests,
            sequences=requests,
            tokens=50 * requests,
            wall_ns=round(wall * 1e6),
            cpu_ns=round(wall * 1e6),
            readings=(a_reading(None if joule is None else round(joule * 1e6), **(reading or {})),),
        )
        for index, (wall, joule) in enumerate(zip(wall_ms, spent, strict=True))
    )


def an_accuracy(value: float = 0.88, low: float = 0.86, high: float = 0.90, count: int = 1000) -> Estimate:
    """Return an estimate of an accuracy."""
    return Estimate(value, low, high, 0.95, "share of right answers, Wilson interval", count)


def a_quality(**changes: Any) -> Quality:
    """Return a quality of BoolQ; equal hashes would mean equal answers, so it has none."""
    facts: dict[str, Any] = {
        "metrics": {"accuracy": an_accuracy()},
        "primary": "accuracy",
        "timed": 700,
        "untimed": 300,
        "answers_sha256": None,
    }
    return Quality(**facts | changes)


def a_percentile(value_ms: float, *, needed: int = 64, have: int = 700) -> Percentile:
    """Return a percentile with an interval of 2 % on both sides, or an absent one if there are too few."""
    ns = value_ms * 1e6
    value, low, high = (ns, 0.98 * ns, 1.02 * ns) if have >= needed else (None, None, None)
    return Percentile(value_ns=value, low_ns=low, high_ns=high, needed=needed, have=have)


def a_record(
    variant: str = "pytorch-fixed",
    wall_ms: Sequence[float] = ROUNDS_MS,
    *,
    requests: int = 100,
    joules: Sequence[float | None] | None = None,
    reading: dict[str, Any] | None = None,
    launches: int = 1,
    cell: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """Return a complete record of 7 rounds of 100 BoolQ requests at about 5 ms and 0.1 J each.

    `cell` and `data` change fields of those parts, any other keyword a field of the record.
    """
    made = rounds(wall_ms, requests=requests, joules=joules, reading=reading, launches=launches)
    per_request = sorted(wall_ms)[len(wall_ms) // 2] / max(requests, 1) if wall_ms else 1.0
    facts: dict[str, Any] = {
        "run": "r1",
        "created": "2026-01-02T03:04:05+00:00",
        "status": "complete",
        "profile": "default",
        "seed": 0,
        "launches": launches,
        "rounds_planned": len(made),
        "cell": _cell(variant, cell or {}),
        "data": _data(data or {}),
        "model": ModelFacts(name="bert-base-boolq", tier="local", fingerprint="b" * 64, trained=True),
        "placement": PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"threads": 2}),
        "host": a_host(),
        "software": {"python": "3.11.7"},
        "energy": EnergyFacts(meter="rapl", describe={}, skipped=()),
        "rounds": made,
        "latency": {
            "p50": a_percentile(per_request, needed=11),
            "p90": a_percentile(1.5 * per_request, needed=64),
        },
        "memory": Memory(peak_bytes=600 * 2**20, counted_as="PSS"),
        "quality": a_quality(),
        "observer": HarnessOverhead(loop_ns_per_request=200.0),
    }
    return Record(**facts | changes)


def three_variants(**changes: Any) -> list[Record]:
    """Return baseline, unpadded and int8 at 20, 10 and 4 ms a request and 20 watts, all rounds equal.

    So no ratio has a width: int8 is 5 times as fast as the baseline and 2.5 times as fast as the unpadded
    one, with energy in the same proportion: 0.4, 0.2 and 0.08 J a request.
    """
    times = {"pytorch-fixed": 2000.0, "pytorch-dynamic": 1000.0, "onnx-int8": 400.0}
    return [a_record(name, (wall_ms,) * 7, **changes) for name, wall_ms in times.items()]


LADDER: tuple[dict[str, Any], ...] = (
    {"name": "fixed", "over": "", "about": "PyTorch fp32, padded to the maximum length"},
    {"name": "dynamic", "over": "fixed", "about": "PyTorch fp32, no padding"},
    {"name": "distilled", "over": "dynamic", "about": "the student, taught by the model"},
    {"name": "int8", "over": "distilled", "about": "ONNX Runtime dynamic int8"},
    {"name": "multi-instance", "over": "int8", "about": "a process for each core"},
)
LADDER_MS = {
    "fixed": 2000.0,
    "dynamic": 1000.0,
    "distilled": 200.0,
    "int8": 100.0,
    "multi-instance": 50.0,
}
"""Milliseconds of a round of 100 requests."""


def a_step(key: str, seconds: float, joules: float | None = None, **changes: Any) -> dict[str, Any]:
    """Return a step of preparation as a manifest holds it; by default it drew 20 watts."""
    spent = 20 * seconds if joules is None else joules
    facts: dict[str, Any] = {
        "zone": "package-0",
        "grade": "measured",
        "scope": "package",
        "source": "powercap",
        "microjoules": round(spent * 1e6),
        "span_ns": round(seconds * 1e9),
        "overlaps": [],
    }
    return {"recipe": key, "key": key, "seconds": seconds, "energy": [facts | changes]}


LADDER_STEPS: dict[str, list[dict[str, Any]]] = {
    "fixed": [],
    "dynamic": [],
    "distilled": [a_step("distil", 3600.0)],
    "int8": [a_step("distil", 3600.0), a_step("onnx-int8", 10.0)],
    "multi-instance": [a_step("distil", 3600.0), a_step("onnx-int8", 10.0), a_step("distil", 3600.0)],
}


def ladder_words(rungs: Sequence[dict[str, Any]] = LADDER) -> dict[str, Any]:
    """Return the configuration of a record that is part of this ladder."""
    return {"ladder": {"name": "fastformers", "parameters": {}, "rungs": list(rungs)}}


def a_rung(variant: str, scenario: str = "offline", **changes: Any) -> Record:
    """Return the record of one rung of `LADDER`, all rounds equal, at 20 watts."""
    instances = 2 if variant == "multi-instance" else 1
    threads = 2 // instances
    cell = {
        "id": f"boolq-{variant}-{scenario}",
        "group": f"boolq-{scenario}",
        "scenario": scenario,
        "instances": instances,
        "threads": threads,
    }
    effective = {"threads": threads, "instances": instances, "batch": 1 if variant == "fixed" else 16}
    size = 4 * 2**20 if "-" in variant or variant == "int8" else 400 * 2**20
    facts: dict[str, Any] = {
        "wall_ms": (LADDER_MS.get(variant, 100.0),) * 7,
        "placement": PlacementFacts(cpus=(0, 1), threads_requested=2, effective=effective),
        "artifact": ArtifactFacts(
            key=variant,
            size_bytes=size,
            cached=False,
            manifest={"preparation": LADDER_STEPS.get(variant, [])},
        ),
        "configuration": ladder_words(),
        **({"latency": {}} if scenario == "offline" else {}),
    }
    return a_record(variant, **{**facts, **changes, "cell": {**cell, **changes.get("cell", {})}})


def a_ladder(**changes: Any) -> list[Record]:
    """Return the records of `LADDER`, offline and single-stream: 20, 10, 2, 1 and 0.5 ms a request."""
    names = [rung["name"] for rung in LADDER]
    return [a_rung(name, scenario, **changes) for scenario in ("offline", "single-stream") for name in names]


def a_failure(variant: str, message: str = "the process ran out of memory.") -> Record:
    """Return the record of a cell of which nothing could be measured."""
    return a_record(
        variant,
        (),
        status="failed",
        failure={"kind": "MeasurementError", "message": message, "remedy": "Lower --max-length."},
        rounds_planned=7,
        placement=None,
        latency={},
        memory=None,
        quality=None,
        observer=None,
    )


def a_host(**facts: Any) -> Host:
    """Return a bare-metal machine of two CPUs."""
    defaults = {
        "cpu_model": "Example CPU @ 3.0 GHz",
        "logical_cpus": 4,
        "usable_logical_cpus": 2,
        "ram_gib": 16.0,
        "kernel": "6.1.0",
        "virtualisation": "none",
    }
    return Host(fingerprint="c" * 64, name_sha256="d" * 64, facts=defaults | facts)


def _cell(variant: str, changes: dict[str, Any]) -> CellFacts:
    facts: dict[str, Any] = {
        "id": f"boolq-{variant}",
        "group": "boolq-cpu",
        "task": "boolq",
        "variant": variant,
        "device": "cpu",
        "scenario": "single-stream",
        "boundary": "encoded",
        "threads": 2,
        "instances": 1,
        "batch": 1,
        "max_length": 256,
    }
    return CellFacts(**facts | changes)


def _data(changes: dict[str, Any]) -> DataFacts:
    facts: dict[str, Any] = {
        "tier": "local",
        "name": "BoolQ",
        "split": "val",
        "fingerprint": "a" * 64,
        "official": True,
        "examples": 1000,
        "sample": 700,
        "majority": 0.62,
    }
    return DataFacts(**facts | changes)
