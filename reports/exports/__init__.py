"""Formats for other programs: benchmark trackers, CI servers, data frames.

`TEXTS` are single texts; `FILES` are several files, or one that cannot go to a terminal. A value that is
absent is left out, never written as zero. A grade, an interval or a warning without a field of its own goes
into a free-text field.
"""

from collections.abc import Callable

from reports.exports import (
    bencher,
    codecarbon,
    github,
    github_benchmark,
    junit,
    model_card,
    parquet,
    pytest_benchmark,
)
from reports.layout.style import Style
from reports.report import Report

TEXTS: dict[str, Callable[[Report, Style], str]] = {
    "junit": junit.as_junit,
    "github-summary": github.as_summary,
    "github-annotations": github.as_annotations,
    "pytest-benchmark": pytest_benchmark.as_json,
    "bencher": bencher.as_bmf,
    "codecarbon": codecarbon.as_csv,
    "model-card": model_card.as_card,
}

FILES: dict[str, Callable[[Report, Style], dict[str, bytes]]] = {
    "github-action-benchmark": github_benchmark.as_files,
    "parquet": parquet.as_files,
}
