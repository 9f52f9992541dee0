"""SIGTERM for a while, and afterwards as it was before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
