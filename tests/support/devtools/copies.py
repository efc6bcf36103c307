"""Makes a large store, to measure reports: copies of the records of one run.

    python -m devtools.copies results/runs/RUN 10000 DIR
    python -m devtools.footprint bench report all --store DIR --format csv --output /dev/null

Each copy is a separate run, without samples. Its times are changed at random by about a percent, so that no
result of one copy can be reused for another.
"""

import json
import random
import sys
from pathlib import Path


def copies(run: Path, count: int, store: Path) -> None:
    """Write `count` copies of the records of a run below `store`."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(run.glob("*.json"))]
    generator = random.Random(0)
    for number in range(count):
        record = records[number % len(records)]
        rounds = [
            {**visit, "wall_ns": round(visit["wall_ns"] * generator.gauss(1, 0.01))}
            for visit in record["rounds"]
        ]
        name = f"copy-{number // len(records):06d}"
        folder = store / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        copy = {**record, "run": name, "rounds": rounds, "samples": None}
        (folder / f"{record['cell']['id']}.json").write_text(json.dumps(copy, indent=1), encoding="utf-8")


if __name__ == "__main__":
    copies(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
