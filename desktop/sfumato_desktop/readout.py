"""The live readout, counted off-thread: pixels changed outside the masks, and which edits are stale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from PySide6.QtCore import QObject, QRunnable, QThreadPool, QTimer, Signal

from sfumato.document.compositor import count_changed, flatten, is_stale
from sfumato.document.layers import Document
from sfumato_desktop import compare
from sfumato_desktop.session import Session

_PAUSE = 200
"""Milliseconds without a change before counting begins."""


@dataclass(frozen=True)
class Measurement:
    """What was counted; `changed_outside` is None when no visible edit has a mask to keep to."""

    changed_outside: int | None
    stale: frozenset[str]


def measure(document: Document) -> Measurement:
    """Compare the flattened document with the same document without its edits, pixel by pixel."""
    edits = [layer for layer in document.layers if layer.edit is not None]
    stale = frozenset(layer.id for layer in edits if is_stale(document, layer))
    masks = [layer.edit.mask for layer in edits if layer.edit is not None and layer.visible]
    known = [mask for mask in masks if mask is not None]
    if not masks or len(known) < len(masks):
        return Measurement(None, stale)
    allowed = reduce(np.maximum, known)
    return Measurement(count_changed(compare.before(document), flatten(document), allowed), stale)


class Readout(QObject):
    """Measures the open document whenever it rests."""

    measured = Signal(Measurement)
    _counted = Signal(int, Measurement)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session: Session | None = None
        self._turn = 0
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE)
        self._timer.timeout.connect(self._start)
        self._counted.connect(self._arrived)

    def show_session(self, session: Session | None) -> None:
        self._session = session
        self._turn += 1
        if session is not None:
            session.changed.connect(self._timer.start)
            self._timer.start()

    def close(self) -> None:
        """Wait for a count under way and start no other."""
        self._timer.stop()
        self._session = None
        self._turn += 1
        self._pool.waitForDone()

    def _start(self) -> None:
        if self._session is not None:
            self._turn += 1
            self._pool.start(_Count(self._session.snapshot(), self._turn, self))

    def _arrived(self, turn: int, measurement: Measurement) -> None:
        if turn == self._turn:
            self.measured.emit(measurement)


class _Count(QRunnable):
    def __init__(self, document: Document, turn: int, readout: Readout) -> None:
        super().__init__()
        self._document, self._turn, self._readout = document, turn, readout

    def run(self) -> None:
        self._readout._counted.emit(self._turn, measure(self._document))
