"""A report as one HTML file: sortable tables, inline plots, and every figure linked to its record."""

from reports.html.page import as_page

__all__ = ["as_page"]
