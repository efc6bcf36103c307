"""Records become tables: pure functions from records to text, no hardware, no files of their own.

records --figures--> numbers with intervals --table--> cells --text | markdown--> what people read
                                            --data--> what machines read
a ladder's records --climb--> rungs --ladder_tables--> the same
"""

from collections.abc import Callable, Sequence

from harness.errors import unknown_name
from harness.record import Record
from reports import ladder
from reports.climb import CountsOf
from reports.data import SCHEMA_VERSION, as_json, encoded, rows
from reports.markdown import as_markdown
from reports.prices import price_of
from reports.text import WIDTH, as_text, wants_color

__all__ = ["FORMATS", "as_json", "as_markdown", "as_text", "render", "wants_color"]

FORMATS: dict[str, Callable[..., str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}
"""Every format by its name on the command line."""


def render(
    records: Sequence[Record],
    format: str,  # noqa: A002 -- the option's own name
    *,
    width: int = WIDTH,
    color: bool = False,
    price: float | None = None,
    counts: CountsOf | None = None,
) -> str:
    """Return the report on these records; UsageError for a format that is not in the table.

    The rungs of a ladder stand in its own tables, all other records in plain ones. `width`, in columns, and
    `color` are for text alone; the other formats are for files. `price`, in USD an hour, and `counts`, which
    pair changes of quality, are for ladders.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    ladders, plain = ladder.ladders_in(records, price_of(price), counts)
    if not ladders:
        return as_text(records, width=width, color=color) if format == "text" else FORMATS[format](records)
    if format == "json":
        shown = [ladder.as_rows(one) for one in ladders]
        return encoded({"schema_version": SCHEMA_VERSION, "ladders": shown, "rows": rows(records)})
    if format == "markdown":
        return "\n".join([*map(ladder.as_markdown, ladders), *([as_markdown(plain)] if plain else [])])
    pages = [ladder.as_text(one, width=width, color=color) for one in ladders]
    return "\n".join([*pages, *([as_text(plain, width=width, color=color)] if plain else [])])
