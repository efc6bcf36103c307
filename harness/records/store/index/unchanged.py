"""Reads from the index what a report prints, where files of a run are those that the index was made from.

The files of other runs are read: of those that changed, are not finished, or hold a ladder.
"""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from harness.common.errors import StoreError
from harness.records.store.folders import RunFolder, Store
from harness.records.store.index.file_state import file_state
from harness.records.store.index.refresh import FILE, is_current
from harness.records.store.index.rows import FigureRow, IndexedRecord

_CELL_COLUMNS = (
    *("run", "cell", "status", "task", "variant", "device", "scenario", "boundary", "threads", "instances"),
    *("batch", "max_length", "profile", "host"),
)
_OF_RUNS = "run in (select value from json_each(?))"
_FIGURES = f"""
select record, quantity, unit, value, low, high, "over", grade, source, footnote, p from figure_rows
where record in (select id from cell_rows where {_OF_RUNS}) order by record, place
"""  # noqa: S608 -- a text from above


def unchanged_records(store: Store, folders: Sequence[RunFolder]) -> dict[str, list[IndexedRecord]]:
    """Return the records of the runs whose files are as they were, by run, in the order of a report.

    Without an index that this version of bench can read there are none: the files are the truth.
    """
    path = store.root / FILE
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("begin")  # one state of the index for all that follows
            return _records(connection, folders) if is_current(connection) else {}
    except (sqlite3.Error, StoreError):
        return {}


def _records(connection: sqlite3.Connection, folders: Sequence[RunFolder]) -> dict[str, list[IndexedRecord]]:
    kept = dict(connection.execute("select run, files from run_folders where files != ''"))
    runs = [folder.name for folder in folders if kept.get(folder.name, "") == file_state(folder) != ""]
    names = (json.dumps(runs),)
    columns = ", ".join(_CELL_COLUMNS)
    by_id: dict[int, IndexedRecord] = {}
    by_run: dict[str, list[IndexedRecord]] = {}
    for number, group, basis, *values in connection.execute(
        f"select id, cell_group, cost_basis, {columns} from cell_rows where {_OF_RUNS} order by id",  # noqa: S608
        names,
    ):
        by_id[number] = IndexedRecord(tuple(values), values[1], group, basis, [])
        by_run.setdefault(values[0], []).append(by_id[number])
    texts: dict[int, str] = dict(connection.execute("select id, text from texts"))
    for record, name, unit, value, low, high, over, grade, source, footnote, p in connection.execute(
        _FIGURES, names
    ):
        named = (texts[over], texts[grade], texts[source], texts[footnote])
        by_id[record].figures.append(FigureRow(texts[name], texts[unit], value, low, high, *named, p))
    return by_run
