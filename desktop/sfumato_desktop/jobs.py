"""The engine as the window sees it: its events, told on the engine's thread, become signals on the GUI's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from PySide6.QtCore import QElapsedTimer, QObject, Qt, QTimer, Signal, Slot

from sfumato.errors import SfumatoError
from sfumato.events import Advanced, Cancelled, Event, Failed, Finished, Outcome, Ready, Started
from sfumato.method import Job

FRAME = 33
"""Milliseconds between two deliveries."""
_PATIENCE = 10.0
"""Seconds the engine gets to stop when the window closes."""


class EngineLike(Protocol):
    """What of `sfumato.engine.Engine` is used here."""

    def start(self) -> None: ...
    def submit(self, job: Job) -> None: ...
    def cancel(self, job_id: str | None = None) -> None: ...
    def watch(self, on: bool) -> None: ...
    def close(self, timeout: float) -> object: ...


class Jobs(QObject):
    """Submits jobs and tells how they go. Every event arrives, in order, but of progress only the newest."""

    ready = Signal(Ready)
    started = Signal(str)
    advanced = Signal(Advanced)
    finished = Signal(str, Outcome)
    failed = Signal(str, SfumatoError)
    cancelled = Signal(str)
    _arrived = Signal()

    def __init__(
        self,
        make_engine: Callable[[Callable[[Event], None]], EngineLike],
        parent: QObject | None = None,
        *,
        frame: int = FRAME,
    ) -> None:
        """`make_engine` builds an engine around its event callback: `sfumato.compose.engine`."""
        super().__init__(parent)
        self._frame = frame
        self._lock = threading.Lock()
        self._pending: list[Event] = []
        self._posted = False
        self._closed = False
        self._since = QElapsedTimer()
        self._soon = QTimer(self, singleShot=True)
        self._soon.timeout.connect(self._deliver)
        self._arrived.connect(self._pace, Qt.ConnectionType.QueuedConnection)
        self._engine = make_engine(self._on_event)

    def start(self) -> None:
        """Let the engine import and load in the background; `ready` says when it is done."""
        self._engine.start()

    def submit(self, job: Job) -> None:
        self._engine.submit(job)

    def cancel(self, job_id: str | None = None) -> None:
        """Stop one job, or all of them."""
        self._engine.cancel(job_id)

    def watch(self, on: bool) -> None:
        """Say whether anybody looks at previews; none are computed otherwise."""
        self._engine.watch(on)

    def close(self) -> None:
        """Stop the engine. Nothing is told after this, since those who listened are going too."""
        self._closed = True
        self._soon.stop()
        self._engine.close(_PATIENCE)

    def _on_event(self, event: Event) -> None:
        """Called on the engine's thread."""
        with self._lock:
            _add(self._pending, event)
            if self._posted:
                return
            self._posted = True
        self._arrived.emit()

    @Slot()
    def _pace(self) -> None:
        """Deliver now, or a frame after the last delivery, so that a flood does not swamp the window."""
        passed = int(self._since.elapsed()) if self._since.isValid() else self._frame
        if passed >= self._frame:
            self._deliver()
        else:
            self._soon.start(self._frame - passed)

    @Slot()
    def _deliver(self) -> None:
        with self._lock:
            events, self._pending = self._pending, []
            self._posted = False
        self._since.start()
        for event in events:
            if not self._closed:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
            case Ready():
                self.ready.emit(event)
            case Started(job=job):
                self.started.emit(job)
            case Advanced():
                self.advanced.emit(event)
            case Finished(job=job, outcome=outcome):
                self.finished.emit(job, outcome)
            case Failed(job=job, error=error):
                self.failed.emit(job, error)
            case Cancelled(job=job):
                self.cancelled.emit(job)


def _add(pending: list[Event], event: Event) -> None:
    """Append an event; progress takes the place of older progress, whose picture it keeps if it has none."""
    last = pending[-1] if pending else None
    if isinstance(event, Advanced) and isinstance(last, Advanced) and event.job == last.job:
        if event.preview is None and last.preview is not None:
            event = replace(event, preview=last.preview, box=last.box)
        pending[-1] = event
    else:
        pending.append(event)
