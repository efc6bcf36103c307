"""The index of `results/`: what each page measured, where, when and by which command, from its records.

python -m devtools.results_index > results/index.md

pages --runs--> records --facts--> a table and the commands of each topic
runs that no page names ---------> a table of their own
traces of null tests ------------> a table that counts them
"""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from devtools.results_command import command_of, wrapped
from devtools.results_pages import RESULTS, Page, load_pages

from harness.common.json_types import JsonObject
from harness.records.record import Record
from harness.records.store import Store

TOPICS = {
    "paper": "The paper's ladders",
    "rivals": "Engines against one another",
    "adaptive": "Adaptive inference",
    "tasks": "SuperGLUE's tasks",
    "servers": "Model servers",
    "plans": "Capacity plans",
    "method": "The method of measurement",
    "history": "Superseded",
}
"""Folder and heading, in the order of the index."""

_HEAD = """# Index of results

Generated from pages and records: `PYTHONPATH=tests/support python -m devtools.results_index`.
[README.md](README.md) explains the topics and the names of pages.

- A page is the report, or the plan, on the runs in its last column. The command of each run, below the table,
  is put together from the settings that the records hold, without options at their defaults. `DIR`, `FILE`,
  `URL` and `COMMAND` stand for what records do not hold. `FILE` of `--ladder` is one that does not ship; the
  page lists its rungs.
- Models have trained weights, but for `shape:...` and where the cell adds *untrained*.
- Sequences are cut at the tokens in `settings`. Requests are the distinct examples that were timed: a round
  takes one slice of them.
- Processors are named with family/model, as the CPU reports them. The last table has the rest.
"""
_COLUMNS = ("systems", "tasks", "model", "settings", "processor", "date", "measured")
_TRACE_COLUMNS = ("traces", "condition", "processor", "threads", "launches", "tasks", "variants", "date")
_PROCESSOR_COLUMNS = ("processor", "extensions", "CPUs", "memory", "kernel", "machine")


def index_of(results: Path = RESULTS) -> str:
    """Return the index as Markdown; ValueError for a page outside the topics or an unreadable record."""
    records = _records_by_run(results)
    pages = load_pages(results)
    topics = sorted({page.topic for page in pages} - set(TOPICS))
    if topics:
        raise ValueError(f"expected pages in {', '.join(TOPICS)}; got some in {', '.join(topics)}")
    without_page = sorted(set(records) - {run for page in pages for run in page.runs})
    return "\n".join(
        [
            _HEAD,
            *(_topic(topic, [page for page in pages if page.topic == topic], records) for topic in TOPICS),
            _runs_without_page(without_page, records, results.parent),
            _traces(results / "traces"),
            _processors([record for run in records.values() for record in run]),
        ]
    )


def published_runs(results: Path) -> set[str]:
    """Return the runs that git tracks; all of them outside a repository. Others are somebody's own."""
    command = ["git", "ls-files", "-z", "--", "runs"]
    try:
        listing = subprocess.run(command, cwd=results, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {folder.name for folder in (results / "runs").iterdir()}
    return {path.split("/")[1] for path in listing.split("\0") if path}


def _records_by_run(results: Path) -> dict[str, list[Record]]:
    store, published = Store(results), published_runs(results)
    records_by_run = {}
    for folder in store.runs():
        if folder.name not in published:
            continue
        records_by_run[folder.name], unreadable = store.records([folder])
        if unreadable:
            raise ValueError(f"{unreadable[0].path}: {unreadable[0].reason}")
    return records_by_run


def _topic(topic: str, pages: Sequence[Page], records: Mapping[str, Sequence[Record]]) -> str:
    by_page = [[record for run in page.runs for record in records[run]] for page in pages]
    rows = []
    commands = []
    for page, page_records in zip(pages, by_page, strict=True):
        link = f"[{page.path.stem}]({topic}/{page.path.name})"
        rows.append((link, *_facts(page_records), ", ".join(map(_run_link, page.runs))))
        commands += [f"# {page.path.stem}", *_commands(page, records)]
    text = f"{_scenarios(by_page)}{_table(('page', *_COLUMNS, 'runs'), rows)}"
    return _section(TOPICS[topic], text, commands)


def _commands(page: Page, records: Mapping[str, Sequence[Record]]) -> Iterator[str]:
    """Yield the commands that repeat the runs of a page; the run that checks a plan is made by the plan."""
    validation = page.validation
    for run in page.runs:
        if run != validation:
            yield command_of(records[run][0])
    if validation:
        model = records[validation][0].configuration["model"]
        yield wrapped(
            page.text.replace(f"--validation {validation}", f"--validate --data DIR --model {model}")
        )
    elif page.command == "plan":
        yield wrapped(page.text)


def _runs_without_page(runs: Sequence[str], records: Mapping[str, Sequence[Record]], root: Path) -> str:
    """Return the table of runs that no page reports on, with the documents that name them."""
    documents = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    texts = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in documents}
    rows = []
    commands = []
    for run in runs:
        named_in = [f"[{name}](../{name})" for name, text in texts.items() if run in text]
        rows.append((_run_link(run), *_facts(records[run]), ", ".join(named_in) or "none"))
        commands += [f"# {run}", command_of(records[run][0])]
    text = f"{_scenarios([records[run] for run in runs])}{_table(('run', *_COLUMNS, 'documents'), rows)}"
    return _section("Runs without a page", text, commands)


def _scenarios(rows: Iterable[Sequence[Record]]) -> str:
    """Return a line with the scenarios of a table's rows; ValueError where they differ."""
    different = {_listed(record.cell.scenario for record in records) for records in rows}
    if len(different) != 1:
        raise ValueError(f"expected one set of scenarios in a table, got {sorted(different)}: add a column")
    return f"Scenarios: {different.pop()}.\n\n"


def _facts(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the cells of `_COLUMNS` for the records of one page or run."""
    threads = _range(record.configuration["threads"] for record in records)
    tokens = _range(record.cell.max_length for record in records)
    requests = _range(record.data.sample for record in records)
    return (
        _systems(records[0]),
        _listed(record.cell.task for record in records),
        _listed(_model(record) for record in records),
        f"{tokens} tokens, {threads} thread{'s' * (threads != '1')}",
        _listed(_processor(record) for record in records),
        _dates(record.created for record in records),
        f"{_listed(_rounds(record) for record in records)}, {requests} requests",
    )


def _systems(record: Record) -> str:
    ladder = record.configuration.get("ladder")
    if ladder:
        count = len(ladder["rungs"])
        return f"{count} rung{'s' * (count != 1)} of `{ladder['name']}`"
    return _listed(f"`{name}`" for name in record.configuration["variants"])


def _model(record: Record) -> str:
    name = str(record.configuration["model"])
    trained = record.model.trained or name.startswith("shape:")
    return f"`{name}`{'' if trained else ' (untrained)'}"


def _processor(record: Record) -> str:
    """Return the maker's name with family and model as the CPU reports them: `AMD EPYC 25/17`."""
    facts = record.host.facts
    return f"{_short(facts['cpu_model'])} {facts['family']}/{facts['model']}"


def _short(cpu_model: str) -> str:
    return re.sub(r"\(R\)| Processor| @.*", "", cpu_model)


def _rounds(record: Record) -> str:
    if record.launches == 1:
        return f"{len(record.rounds)} rounds"
    return f"{record.launches} launches of {len(record.rounds) // record.launches} rounds"


def _traces(folder: Path) -> str:
    """Count the traces of null tests by what else the machine did and by how they were taken."""
    groups = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        trace = json.loads(path.read_text(encoding="utf-8"))
        launches = len(set(trace["launch"]))
        groups[trace["condition"], _short(trace["processor"]), trace["threads"], launches].append(trace)
    rows = [
        (
            str(len(traces)),
            *map(str, key),
            _listed(sorted(trace["task"] for trace in traces)),
            _listed(sorted(f"`{variant}`" for trace in traces for variant in _variants(trace))),
            _dates(trace["created"] for trace in traces),
        )
        for key, traces in sorted(groups.items())
    ]
    link = "[method](../docs/explanation/method.md)"
    text = f"Files in `traces/`: a variant measured against itself, or a repeated run ({link})."
    return _section("Traces of null tests", f"{text}\n\n{_table(_TRACE_COLUMNS, rows)}")


def _variants(trace: JsonObject) -> set[str]:
    return set(trace.get("variants", [trace.get("variant")]))


def _processors(records: Sequence[Record]) -> str:
    rows = {}
    for record in records:
        facts = record.host.facts
        rows[_processor(record)] = (
            _processor(record),
            ", ".join(facts["flags"]),
            str(facts["logical_cpus"]),
            f"{facts['ram_gib']} GiB",
            facts["kernel"],
            facts["virtualisation"],
        )
    return _section("Processors", _table(_PROCESSOR_COLUMNS, sorted(rows.values())))


def _run_link(run: str) -> str:
    """Return a link with the end of a run's id: task and hash."""
    return f"[{'-'.join(run.split('-')[2:])}](runs/{run})"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _range(numbers: Iterable[int]) -> str:
    values = sorted(set(numbers))
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _dates(times: Iterable[str]) -> str:
    days = sorted({time[:10] for time in times})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _section(heading: str, text: str, commands: Sequence[str] = ()) -> str:
    code = "\n```sh\n{}\n```\n".format("\n".join(commands)) if commands else ""
    return f"## {heading}\n\n{text}{code}"


if __name__ == "__main__":
    print(index_of(), end="")  # noqa: T201 -- a program of its own
