"""A large store to try reports on: the records of one run, copied until there are so many.

    python -m devtools.copies results/runs/RUN 10000 DIR
    python -m devtools.footprint bench report all --store DIR --format csv --output /dev/null

Each copy is a run of its own, and has no samples. Its times are drawn anew within some percent, so that
nothing that was worked out for one copy serves for another.
"""

import json
import random
import sys
from pathlib import Path


def copies(run: Path, count: int, store: Path) -> None:
    """Write `count` records below `store`."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(run.glob("*.json"))]
    draw = random.Random(0)
    for number in range(count):
        record = records[number % len(records)]
        rounds = [
            {**each, "wall_ns": round(each["wall_ns"] * draw.gauss(1, 0.01))} for each in record["rounds"]
        ]
        name = f"copy-{number // len(records):06d}"
        folder = store / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        copy = {**record, "run": name, "rounds": rounds, "samples": None}
        (folder / f"{record['cell']['id']}.json").write_text(json.dumps(copy, indent=1), encoding="utf-8")


if __name__ == "__main__":
    copies(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
