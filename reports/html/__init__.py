"""A report as one HTML file: tables that sort and filter, plots inline, every figure linked to its record."""

from reports.html.page import as_page

__all__ = ["as_page"]
