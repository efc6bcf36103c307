"""The names of metrics as a reader sees them."""

_METRICS = {"macro_f1": "macro-F1", "micro_f1": "micro-F1"}


def metric_name(name: str) -> str:
    """Return the display name of a metric."""
    return _METRICS.get(name, name.replace("_", " "))
