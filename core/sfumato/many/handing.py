"""The loop that hands tasks to workers, whoever they are, and gives what comes of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from sfumato.errors import SfumatoError
from sfumato.many.worker import Done, Failed, Opener, Parcel, Work, attempted
from sfumato.signals import held_back

T = TypeVar("T")
R = TypeVar("R")


class Hands(Protocol):
    """Workers that take tasks. Whoever holds them has to dismiss them."""

    @property
    def workshop(self) -> tuple[Opener, dict[str, Any]]:
        """What each opens its workshop with."""
        ...

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether another task should be given now."""
        ...

    def give(self, parcel: Parcel) -> None:
        """Take a task."""
        ...

    def wait(self) -> None:
        """Wait for news, but not for ever; an interrupt does no harm here. At once if nobody is at work."""
        ...

    def news(self) -> Iterator[Done[Any] | Failed]:
        """What has come of tasks, without waiting. Raises `SfumatoError` if all workers are gone."""
        ...

    def dismiss(self) -> None:
        """End everything, within a step of whatever is under way."""
        ...


def handed_out(
    tasks: Mapping[str, T], work: Work[T, R], hands: Hands
) -> Generator[Done[R] | Failed, None, None]:
    """Every task once, looked up and packed when there is room for it; dismisses the workers at the end.

    A stop is heard between two results: whoever receives one is done with it first.
    """
    waiting, ended = deque(tasks), deque[Done[R] | Failed]()

    def pack(key: str) -> Parcel:
        return Parcel.of(key, work, tasks[key], hands.workshop)

    def emptied() -> Iterator[Done[R] | Failed]:
        while ended:
            yield ended.popleft()

    try:
        with held_back() as stop:
            while waiting or hands.busy:
                while waiting and hands.has_room:
                    key = waiting.popleft()
                    packed = attempted(key, lambda key=key: pack(key))
                    if isinstance(packed, Failed):
                        ended.append(packed)
                    else:
                        hands.give(packed.result)
                yield from emptied()  # now that all have work again, whatever the receiver does with these
                with stop.heard():
                    hands.wait()
                ended.extend(hands.news())
            yield from emptied()
    except (KeyboardInterrupt, SfumatoError):  # stopped, or workers are gone, and some had finished before
        with suppress(SfumatoError):
            ended.extend(hands.news())
        yield from emptied()
        raise
    finally:
        hands.dismiss()
