"""Records become tables: pure functions from records to text, no hardware, no files of their own.

records --figures--> numbers with intervals --table--> cells --text | markdown--> what people read
                                            --data--> what machines read
"""

from collections.abc import Callable, Sequence

from harness.errors import unknown_name
from harness.record import Record
from reports.data import as_json
from reports.markdown import as_markdown
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
) -> str:
    """Return the report on these records; UsageError for a format that is not in the table.

    `width`, in columns, and `color` are for text alone; the other formats are for files.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    return as_text(records, width=width, color=color) if format == "text" else FORMATS[format](records)
