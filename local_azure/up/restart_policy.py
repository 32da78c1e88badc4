"""When a part that died is started again, and when to stop trying. No clock of its own."""

_LONGEST_WAIT_SECONDS = 30.0
_SETTLED_SECONDS = 10.0  # healthy for this long: the next death starts the back-off anew
_DEATHS_TO_GIVE_UP = 5
_GIVE_UP_WINDOW_SECONDS = 60.0


class RestartPolicy:
    """The deaths of one part."""

    def __init__(self, first_wait_seconds: float = 1.0) -> None:
        self._first_wait_seconds = first_wait_seconds
        self._in_a_row = 0
        self._never_healthy_deaths: list[float] = []

    def seconds_until_restart(self, *, now: float, healthy_seconds: float | None) -> float | None:
        """Records a death: the wait before the next start (1, 2, 4 … 30 s), or None when starting it has no use.

        Args:
            now: seconds on any steady clock.
            healthy_seconds: how long the part had been healthy, None when it never was in this life.
        """
        if healthy_seconds is None:
            self._never_healthy_deaths.append(now)
        else:
            self._never_healthy_deaths.clear()
        if healthy_seconds is not None and healthy_seconds >= _SETTLED_SECONDS:
            self._in_a_row = 0
        self._in_a_row += 1
        recent = [death for death in self._never_healthy_deaths if now - death <= _GIVE_UP_WINDOW_SECONDS]
        if len(recent) >= _DEATHS_TO_GIVE_UP:
            return None
        return min(_LONGEST_WAIT_SECONDS, self._first_wait_seconds * 2.0 ** (self._in_a_row - 1))
