"""How long the rest will take, from how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sfumato.method import Progress

Phase = Literal["loading", "mask", "inversion", "edit", "decode"]
_MEMORY = 0.3
"""Weight of the newest step in the running mean."""


@dataclass(frozen=True, eq=False)
class Advance(Progress):
    """Progress that knows where in the whole job it stands."""

    phase: Phase = "edit"
    ahead: tuple[tuple[Phase, int], ...] = ()
    """The phases still to come, with their steps."""
    box: tuple[int, int, int, int] | None = None
    """Where in the document the preview belongs."""


class Pace:
    """Seconds per step of each phase, remembered from job to job; unknown ones are taken to be like now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: dict[Phase, float] = {}
        self._last: tuple[Phase, float] | None = None

    def begin(self) -> None:
        """Start timing a job."""
        self._last = None

    def seconds_left(self, now: Advance) -> float | None:
        """Note that a step ended; return the estimate, or None as long as nothing was measured."""
        moment = self._clock()
        if self._last is not None and self._last[0] == now.phase:
            self._learn(now.phase, moment - self._last[1])
        self._last = now.phase, moment
        here = self._seconds.get(now.phase)
        ahead = [(self._seconds.get(phase, here), steps) for phase, steps in now.ahead]
        if here is None or any(each is None for each, _ in ahead):
            return None
        rest = (now.total - now.step) * here
        return rest + sum(each * steps for each, steps in ahead if each is not None)

    def _learn(self, phase: Phase, seconds: float) -> None:
        known = self._seconds.get(phase, seconds)
        self._seconds[phase] = known + _MEMORY * (seconds - known)
