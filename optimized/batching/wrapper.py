"""A system around another, which passes on all that it does not do itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.systems.interface import Predictions, Request, System
from harness.workload.tasks.example import Example


class Wrapped:
    """Answers as `system` does, and adds `facts` to what that says of itself."""

    def __init__(self, system: System, facts: Mapping[str, Any]) -> None:
        self._system, self._facts = system, facts

    @property
    def encoding(self) -> str:
        """What is the same for all systems that encode alike."""
        return str(getattr(self._system, "encoding", ""))

    def encode(self, examples: Sequence[Example]) -> Sequence[Request]:
        """Turn text into requests."""
        return self._system.encode(examples)

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer the requests, in the order asked."""
        return self._system.predict(requests)

    def describe(self) -> Mapping[str, Any]:
        """Say what the system says, and the facts."""
        return {**self._system.describe(), **self._facts}

    def close(self) -> None:
        """Release the system."""
        self._system.close()
