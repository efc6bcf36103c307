"""Formats that other programs read: trackers of benchmarks, CI servers, data frames.

`TEXTS` are one text each, `FILES` one file or several that cannot go to a terminal. What a format has no word
for is left out, never zero; what it has no place for (a grade, an interval, a warning) goes where it lets one
write freely.
"""

from collections.abc import Callable

from reports.exports import bencher, codecarbon, github, github_benchmark, junit, parquet, pytest_benchmark
from reports.layout.style import Style
from reports.report import Report

TEXTS: dict[str, Callable[[Report, Style], str]] = {
    "junit": junit.as_junit,
    "github-summary": github.as_summary,
    "github-annotations": github.as_annotations,
    "pytest-benchmark": pytest_benchmark.as_json,
    "bencher": bencher.as_bmf,
    "codecarbon": codecarbon.as_csv,
}

FILES: dict[str, Callable[[Report, Style], dict[str, bytes]]] = {
    "github-action-benchmark": github_benchmark.as_files,
    "parquet": parquet.as_files,
}
