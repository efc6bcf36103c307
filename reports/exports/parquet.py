"""Parquet for data frames: the rows of the tidy CSV with their types; needs the extra `parquet`."""

import csv
import io
from typing import Any

from harness.common.errors import UsageError
from reports.exports.tidy.tidy_csv import COLUMNS, as_csv
from reports.layout.style import Style
from reports.report import Report

NUMBERS = ("value", "low", "high")
COUNTS = ("threads", "instances", "batch", "max_length")


def as_files(report: Report, style: Style) -> dict[str, bytes]:
    """Return the file; raises UsageError where pyarrow is missing.

    Columns and texts are those of the CSV. The break-even `never` is not a number: its value is absent, and
    its footnote is `never`.
    """
    del style
    rows = [_typed(row) for row in csv.DictReader(io.StringIO(as_csv(report)))]
    return {"report.parquet": _encoded(rows)}


def _typed(row: dict[str, str]) -> dict[str, Any]:
    never = row["value"] == "never"
    texts: dict[str, Any] = {name: text or None for name, text in row.items()}
    numbers = {name: float(row[name]) if row[name] and row[name] != "never" else None for name in NUMBERS}
    counts = {name: int(row[name]) if row[name] else None for name in COUNTS}
    return {**texts, **numbers, **counts, **({"footnote": "never"} if never else {})}


def _encoded(rows: list[dict[str, Any]]) -> bytes:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            "Parquet needs the library pyarrow, which is not installed.",
            where="--format parquet",
            remedy="pip install 'pyarrow>=17', or use --format csv: it holds the same rows.",
        ) from None
    types = {**dict.fromkeys(NUMBERS, pa.float64()), **dict.fromkeys(COUNTS, pa.int64())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()
