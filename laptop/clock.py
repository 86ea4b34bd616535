"""Simulated time: an hour of traffic takes seconds."""


class Clock:
    """What every service on the laptop takes for now, in seconds since the epoch; it never goes back."""

    def __init__(self, now: float) -> None:
        self._now = now

    @property
    def now(self) -> float:
        return self._now

    def advance_to(self, moment: float) -> None:
        """Let time pass up to `moment`; a moment that has passed already changes nothing."""
        self._now = max(self._now, moment)
