"""How long the rest of a run takes, pairings differing by a factor of a hundred."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from sfumato.benchmark.results import Result


class Estimate:
    """Edits done and to come, each pairing at its own mean; several workers make the clock run slower."""

    def __init__(self, free: Iterable[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """`free` pairings take no time worth speaking of."""
        self._free = frozenset(free)
        self._clock = clock
        self._began = clock()
        self._ahead: Counter[str] = Counter()
        self._told: dict[str, list[float]] = {}
        self._worked = 0.0
        self.done = 0

    @property
    def total(self) -> int:
        """Edits done and expected."""
        return self.done + self._ahead.total()

    def expect(self, names: Iterable[str]) -> None:
        """These are what is to come, by pairing."""
        self._ahead = Counter(names)

    def note(self, name: str, result: Result, *, fresh: bool) -> None:
        """One is done; `fresh` if it was computed in this run."""
        self.done += 1
        self._ahead[name] -= 1
        if result.failure or name in self._free:
            return
        seconds = sum(result.seconds.values())
        self._told.setdefault(name, []).append(seconds)
        if fresh:
            self._worked += seconds

    @property
    def seconds_left(self) -> float | None:
        """None as long as nothing was computed; pairings not seen yet count as the mean of the others."""
        if not self._worked:
            return None
        means = {name: sum(each) / len(each) for name, each in self._told.items()}
        usual = sum(means.values()) / len(means)
        ahead = {name: count for name, count in self._ahead.items() if name not in self._free}
        left = sum(count * means.get(name, usual) for name, count in ahead.items())
        return left * (self._clock() - self._began) / self._worked
