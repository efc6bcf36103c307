"""What the commands of the documents find in their folder: data, checkpoints, files, and a quick `bench`.

fill_folder(shared)    once: DIR, m/, reviews.csv and other files, bin/bench
substituted(command)   RUN becomes the first run of the page's store, `minilm` a tiny encoder
"""

import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tiny import multi_label_checkpoint, tiny_checkpoint

from harness.workload.tasks import TASKS

TRAIN_ROWS, POSITIONS = 64, 512
CHECKPOINTS = ("boolq", "cb", "rte")
GOOD, BAD = ("kind", "quick", "warm"), ("slow", "cold", "broken")

_BENCH = """#!/bin/sh
# `bench` with the quick profile and the quality of the timed sample, where a command names no profile
case " $* " in
  *" --profile "* | *" --config "* | *" --resume "*) ;;
  " run "* | " ladder "*) command=$1; shift; set -- "$command" --profile quick --quality sample "$@" ;;
  " search "*) command=$1; shift; set -- "$command" --profile quick "$@" ;;
esac
exec {python} -c 'from harness.cli import main; main()' "$@"
"""


def fill_folder(folder: Path) -> None:
    """Write everything that the pages name and do not make themselves."""
    from harness.workload import synthetic

    synthetic.write(folder / "DIR", train_rows=TRAIN_ROWS)
    tiny_checkpoint(folder / "tiny", head=False, max_position_embeddings=POSITIONS)
    for name in CHECKPOINTS:
        tiny_checkpoint(folder / "m" / name, TASKS[name].labels, max_position_embeddings=POSITIONS)
    tiny_checkpoint(folder / "m" / "reviews", ("bad", "good"), max_position_embeddings=POSITIONS)
    names = ("toxic", "insult", "threat")
    multi_label_checkpoint(folder / "m" / "comments", names, max_position_embeddings=POSITIONS)
    _write_files(folder)
    program = folder / "bin" / "bench"
    program.parent.mkdir()
    program.write_text(_BENCH.replace("{python}", sys.executable), encoding="utf-8")
    program.chmod(0o755)


def copy_folder(shared: Path, folder: Path, text: str) -> None:
    """Copy it for a page, without the checkpoints that the page trains itself."""
    made = set(re.findall(r"(?:--output|-o) m/(\w+)", text))

    def ignored(path: str, names: Sequence[str]) -> set[str]:
        return made & set(names) if Path(path).name == "m" else {"bin", "cache"} & set(names)

    shutil.copytree(shared, folder, ignore=ignored, dirs_exist_ok=True)


def substituted(command: str, folder: Path) -> str:
    """Return the command with the names of this folder in place of a reader's."""
    runs = sorted((folder / "results" / "runs").glob("*"))
    first = runs[0].name if runs else "latest"
    return re.sub(r"\bminilm\b", "tiny", re.sub(r"\bRUN\b", first, command))


def _write_files(folder: Path) -> None:
    draw = random.Random(0)

    def review(label: str) -> str:
        return f"a {draw.choice(GOOD if label == 'good' else BAD)} place, {draw.random():.6f}"

    stars = [(review(label), label) for label in ("good", "bad") * 120]
    _csv(folder / "reviews.csv", ("review", "stars"), stars)
    marks = [tuple(str(draw.randint(0, 1)) for _ in range(3)) for _ in range(240)]
    names = ("toxic", "insult", "threat")
    _csv(
        folder / "comments.csv", ("comment", *names), [(f"comment {n}", *row) for n, row in enumerate(marks)]
    )
    _lines(
        folder / "comments.jsonl",
        240,
        lambda n: {
            "comment": f"comment {n}",
            "labels": [name for name, bit in zip(names, marks[n], strict=True) if bit == "1"],
        },
    )
    for name, answers in (
        ("mnli", ("entailment", "neutral", "contradiction")),
        ("scitail", ("entailment", "neutral")),
    ):
        _lines(
            folder / f"{name}.jsonl",
            60,
            lambda n, answers=answers: {
                "premise": f"premise {n}",
                "hypothesis": f"claim {n}",
                "label": answers[n % len(answers)],
            },
        )
    _lines(folder / "new.jsonl", 20, lambda n: {"review": f"place {n}", "comment": f"comment {n}"})


def _csv(path: Path, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    quoted = [[f'"{cell}"' for cell in row] for row in rows]
    path.write_text("\n".join(",".join(row) for row in [heading, *quoted]) + "\n", encoding="utf-8")


def _lines(path: Path, count: int, row: Callable[[int], object]) -> None:
    path.write_text("".join(json.dumps(row(n)) + "\n" for n in range(count)), encoding="utf-8")
