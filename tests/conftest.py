"""What holds for every test: nothing reaches the network, and nothing of the user's own settings leaks in."""

import os
import socket

import pytest
from deprecations import strict


def pytest_configure(config: pytest.Config) -> None:
    """Make deprecations of dependencies errors where the environment requests it (`tox -e newest`)."""
    if os.environ.get("DEPRECATIONS") == "error":
        filters = config.getini("filterwarnings")
        filters[:] = strict(filters)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection: nothing uses the network unless the user asked for it by name."""

    def refused(_socket: socket.socket, address: object) -> None:
        raise OSError(f"a test tried to connect to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget `BENCH_*`, and a terminal's width and colours."""
    for name in [name for name in os.environ if name.startswith("BENCH_")] + ["COLUMNS", "NO_COLOR"]:
        monkeypatch.delenv(name, raising=False)
