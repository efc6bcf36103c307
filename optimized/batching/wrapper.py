"""Base class of systems that wrap another system and delegate to it."""

from collections.abc import Mapping, Sequence

from harness.common.json_types import JsonValue
from harness.systems.interface import Predictions, Request, System
from harness.workload.tasks.example import Example


class SystemWrapper:
    """Delegates to `system`, and adds `facts` to its description."""

    def __init__(self, system: System, facts: Mapping[str, JsonValue]) -> None:
        self._system, self._facts = system, facts

    @property
    def encoding(self) -> str:
        """Equal for systems that encode alike."""
        return str(getattr(self._system, "encoding", ""))

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        """Turn text into requests."""
        return self._system.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests, in their order."""
        return self._system.predict(requests)

    def describe(self) -> Mapping[str, JsonValue]:
        """Return the system's description with the facts."""
        return {**self._system.describe(), **self._facts}

    def close(self) -> None:
        """Release the system."""
        self._system.close()
