"""A fake clock, which moves only when a test moves it."""


class FakeClock:
    """A monotonic clock in nanoseconds.

    Each call returns the time and then moves it on by `step_ns`; `advance` moves it in between.
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
        """Move the time on; ValueError for a negative step."""
        if nanoseconds < 0:
            raise ValueError(f"a monotonic clock cannot go back, got a step of {nanoseconds} ns")
        self.now_ns += nanoseconds
