"""The harness measures. It knows no model and loads none of the libraries that models need.

The folders spell what a run is: `tasks` and `data` say what is asked, `catalog` names who may answer,
`sweep` arranges the rounds, `loop` times them, `meters` read energy, `record` and `store` keep what was
seen, `estimate` and `compare` judge it, `cli` talks to people.

What the commands do is offered here as functions (`harness.api`, docs/reference/api.md), loaded when they
are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import compare_runs, gate_runs, read, report, run, track_runs

__all__ = ["compare_runs", "gate_runs", "read", "report", "run", "track_runs"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- a function of the API
    """Return a function of the API; AttributeError for any other name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness import api

    return getattr(api, name)
