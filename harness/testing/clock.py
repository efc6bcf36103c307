"""A clock that moves when it is told to."""


class FakeClock:
    """A monotonic clock in nanoseconds.

    Each call returns the time and then moves on by `step_ns`; `advance` moves it in between.
    """

    def __init__(self, start_ns: int = 0, step_ns: int = 0) -> None:
        self.now_ns = start_ns
        self._step_ns = step_ns

    def __call__(self) -> int:
        """Return the time, then take a step."""
        now = self.now_ns
        self.now_ns += self._step_ns
        return now

    def advance(self, nanoseconds: int) -> None:
        """Let time pass; a monotonic clock never goes back."""
        if nanoseconds < 0:
            raise ValueError(f"a monotonic clock does not go back by {-nanoseconds} ns")
        self.now_ns += nanoseconds
