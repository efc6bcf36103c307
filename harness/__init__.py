"""The harness: measures systems and reports on them. It imports no model and none of the libraries of models.

`workload` holds tasks, data and scenarios; `catalog` names the variants; `runs` plans and executes;
`measurement` reads clocks, energy and the machine; `records` keeps what was measured; `analysis` judges it;
`cli` is the command line (docs/explanation/design.md).

The commands are offered here as functions (`harness.api`, docs/reference/api.md), loaded when they
are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import (
        compare_runs,
        gate_runs,
        merge_stores,
        query_store,
        read,
        report,
        run,
        track_runs,
    )

__all__ = [
    "compare_runs",
    "gate_runs",
    "merge_stores",
    "query_store",
    "read",
    "report",
    "run",
    "track_runs",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- a function of the API
    """Return a function of the API; AttributeError for any other name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import sys

    from harness.common.platforms import why_not_here

    if reason := why_not_here(sys.platform, [name]):
        from harness.common.errors import UsageError

        raise UsageError(reason)
    from harness import api

    return getattr(api, name)
