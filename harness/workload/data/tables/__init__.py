"""A user's own files as rows."""

from harness.workload.data.tables.delimited import QUOTINGS, Quoting
from harness.workload.data.tables.files import SUFFIXES, TabularFile, read_table
from harness.workload.data.tables.labels import with_plain_labels

__all__ = ["QUOTINGS", "SUFFIXES", "Quoting", "TabularFile", "read_table", "with_plain_labels"]
