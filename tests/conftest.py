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
    """Refuse every connection but to this machine: nothing uses the network unless it was named."""
    connect = socket.socket.connect

    def refused(this: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1"):
            connect(this, address)
            return
        raise OSError(f"a test tried to connect to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget `BENCH_*`, and a terminal's width and colours."""
    for name in [name for name in os.environ if name.startswith("BENCH_")] + ["COLUMNS", "NO_COLOR"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def side_by_side(monkeypatch: pytest.MonkeyPatch, own_settings: None) -> None:
    """Measure beside other tests: none waits for the CPUs that another one holds."""
    del own_settings
    monkeypatch.setenv("BENCH_BUSY", "share")
