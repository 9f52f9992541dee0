"""What has come of tasks is given whatever goes wrong afterwards; a stop that is held back is let through."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from sfumato.errors import SfumatoError
from sfumato.many.handing import handed_out
from sfumato.many.worker import Done, Failed, Parcel
from sfumato.signals import Stop
from tests.chores import chore, opened


class Hands:
    """Workers of whom everything is said beforehand: what each look at them brings, results or an error."""

    workshop, busy = (opened, {}), True

    def __init__(self, *looks: list[Any], stopped: bool = False) -> None:
        self._looks, self._stopped = list(looks), stopped
        self._given = 0
        self.dismissed = False

    @property
    def has_room(self) -> bool:
        return self._given < 2

    def give(self, parcel: Parcel) -> None:
        self._given += 1

    def wait(self) -> None:
        if self._stopped:
            raise KeyboardInterrupt

    def news(self) -> Iterator[Done[Any] | Failed]:
        for each in self._looks.pop(0):
            if isinstance(each, SfumatoError):
                raise each
            yield each

    def dismiss(self) -> None:
        self.dismissed = True


GONE = SfumatoError("The workers are gone.")


def came_before(end: type[BaseException], hands: Hands) -> list[Any]:
    came: list[Any] = []
    with pytest.raises(end):
        came.extend(handed_out({"a": "fine", "b": "fine"}, chore, hands))
    assert hands.dismissed
    return came


def test_what_another_worker_had_finished_is_given_before_the_error_that_ends_all() -> None:
    assert came_before(SfumatoError, Hands([GONE], [Done("b", "b")])) == [Done("b", "b")]


def test_a_stop_stays_one_though_the_workers_are_gone_by_then() -> None:
    hands = Hands([Done("a", "a"), GONE], stopped=True)
    assert came_before(KeyboardInterrupt, hands) == [Done("a", "a")]


def test_a_handler_that_returns_hears_each_stop_once() -> None:
    heard: list[int] = []
    stop = Stop({signal.SIGINT: lambda number, frame: heard.append(number)})
    with stop.heard():
        stop.hear(signal.SIGINT)
        assert heard == [signal.SIGINT]
    stop.now()
    assert heard == [signal.SIGINT]
    stop.hear(signal.SIGINT)
    assert heard == [signal.SIGINT] * 2, "the second waits for nobody"


def test_a_stop_is_kept_for_its_moment() -> None:
    heard: list[int] = []
    stop = Stop({signal.SIGTERM: lambda number, frame: heard.append(number)})
    stop.hear(signal.SIGTERM)
    assert not heard
    with stop.heard():
        assert heard == [signal.SIGTERM]
