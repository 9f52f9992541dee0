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


class Pair:
    """Two workers, of whom the first finishes; then something happens."""

    workshop = (opened, {})

    def __init__(self, happens: BaseException, later: list[str]) -> None:
        self._happens, self._later = happens, later
        self.given: list[str] = []
        self.dismissed = False

    busy = True

    @property
    def has_room(self) -> bool:
        return len(self.given) < 2

    def give(self, parcel: Parcel) -> None:
        self.given.append(parcel.key)

    def wait(self) -> None:
        if isinstance(self._happens, KeyboardInterrupt):
            raise self._happens

    def news(self) -> Iterator[Done[Any] | Failed]:
        """`later` is what comes when it is asked once more."""
        if isinstance(self._happens, KeyboardInterrupt):
            yield Done("a", "a")
            raise SfumatoError("The workers are gone.")
        if "a" in self.given:
            self.given.remove("a")
            raise self._happens
        yield from (Done(key, key) for key in self._later)

    def dismiss(self) -> None:
        self.dismissed = True


def came_before(hands: Pair, end: type[BaseException]) -> list[Any]:
    came: list[Any] = []
    with pytest.raises(end):
        came.extend(handed_out({"a": "fine", "b": "fine"}, chore, hands))
    assert hands.dismissed
    return came


def test_what_another_worker_had_finished_is_given_before_the_error_that_ends_all() -> None:
    hands = Pair(SfumatoError("A worker could not be started."), later=["b"])
    assert came_before(hands, SfumatoError) == [Done("b", "b")]


def test_a_stop_stays_one_though_the_workers_are_gone_by_then() -> None:
    hands = Pair(KeyboardInterrupt(), later=[])
    assert came_before(hands, KeyboardInterrupt) == [Done("a", "a")]


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
