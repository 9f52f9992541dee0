"""Ctrl-C and SIGTERM for a while, and afterwards as they were before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any


@contextmanager
def sigterm(handler: Callable[..., Any] | None = None) -> Iterator[None]:
    """Have SIGTERM go to a handler meanwhile, and then to whom it went before, whoever took it.

    Nothing in other threads than the main one, where no signal is ever heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def stoppable() -> AbstractContextManager[None]:
    """Meanwhile SIGTERM, which service managers and batch systems send, is what Ctrl-C is."""
    return sigterm(signal.default_int_handler)


class Stop:
    """Ctrl-C and SIGTERM, kept until their moment; who asks a second time is not kept waiting."""

    def __init__(self, before: Mapping[int, Callable[..., Any]]) -> None:
        self._before = before
        self._listening = self._asked = False
        self._kept: int | None = None

    def hear(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal."""
        waits = not (self._listening or self._asked)
        self._kept, self._asked = number if waits else None, True
        if not waits:
            self._before[number](number, frame)

    def now(self) -> None:
        """Let through what was kept, which nearly always raises `KeyboardInterrupt`."""
        number, self._kept = self._kept, None
        if number is not None:
            self._before[number](number, None)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Meanwhile, a stop is heard at once; so is one that was asked for before."""
        self._listening = True
        try:
            self.now()
            yield
        finally:
            self._listening = False


@contextmanager
def held_back() -> Iterator[Stop]:
    """Keep a stop for where it is `heard`, or for the end, so that what is under way elsewhere is finished.

    An error that ends it goes before, and the stop is then forgotten.

    Nothing is held back in other threads than the main one, where no signal is ever heard.
    """
    main = threading.current_thread() is threading.main_thread()
    handlers = {int(each): signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM) if main}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    stop = Stop(before)
    for number in before:
        signal.signal(number, stop.hear)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    stop.now()
