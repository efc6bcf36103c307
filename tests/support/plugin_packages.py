"""Plug-ins that are written as they lie when they are installed, without an installer."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def write_plugin(site: Path, name: str, module: str, points: Mapping[str, Mapping[str, str]]) -> Path:
    """Write a module and its metadata with entry points by group; return the folder to put on the path."""
    (site / f"{name}.py").write_text(module, encoding="utf-8")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    lines = []
    for group, values in points.items():
        lines.append(f"[fastformers_bench.{group}]")
        lines += [f"{point} = {value}" for point, value in values.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return site


def bench(site: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a store and a cache below `root`, and with the packages of `site`."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BENCH_")},
        "PYTHONPATH": str(site),
        "BENCH_STORE": str(root / "results"),
        "BENCH_CACHE": str(root / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-P", "-c", "from harness.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env=environment,
    )
