import pytest


@pytest.fixture(autouse=True)
def no_network() -> None:
    """Let Ray's processes talk to one another on this machine."""
