"""Makes capacity plans quick for tests in which their figures need not be exact."""

import pytest

from harness.analysis.capacity import day, sizing, validation


def few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate and validate with few requests, and resample few times."""
    monkeypatch.setattr(sizing, "REQUESTS", 60_000)
    monkeypatch.setattr(sizing, "RESAMPLED_REQUESTS", 20_000)
    monkeypatch.setattr(sizing, "RESAMPLES", 4)
    monkeypatch.setattr(day, "_REQUESTS_PER_LEVEL", 20_000)
    monkeypatch.setattr(validation, "_REQUESTS", 100)
    monkeypatch.setattr(validation, "_RESAMPLES", 4)
