"""Run, Stop, how far it is, and why it cannot run."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from sfumato.events import Advanced
from sfumato_desktop.glyphs import GlyphButton
from sfumato_desktop.named import named, push_button

_RUN_TIP = "Run the edit (Ctrl+Enter)"


class RunBox(QWidget):
    """The foot of the panel; always in sight."""

    run = Signal()
    stop = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._refusal: str | None = None
        self._note = self._outcome = ""
        self._running = False
        self.run_button = push_button("Run", "run", _RUN_TIP)
        self.run_button.setProperty("primary", True)
        self.run_button.setMinimumHeight(32)
        tip = "Stop the running edit (Ctrl+.); the picture stays as it is"
        self.stop_button = GlyphButton("stop", "stop", "Stop", tip, side=18)
        self.stop_button.setFixedSize(36, 32)
        self.bar = named(QProgressBar(), "progress", "Progress", "How far the edit is")
        self.bar.setFixedHeight(18)
        self.message = named(QLabel(), "run_message", "What to do next", "Why Run waits, or how it went")
        self.message.setWordWrap(True)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.run_button, 1)
        buttons.addWidget(self.stop_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.message)
        self.run_button.clicked.connect(self.run)
        self.stop_button.clicked.connect(self.stop)
        self._show()

    @property
    def running(self) -> bool:
        return self._running

    @property
    def can_run(self) -> bool:
        return self._refusal is None and not self._running

    def allow(self, refusal: str | None, note: str = "") -> None:
        """Let the edit be run, with a note on what it will do, or say why it cannot be."""
        self._refusal, self._note = refusal, note
        self._show()

    def started(self) -> None:
        self._running = True
        self._outcome = ""
        self.bar.setRange(0, 0)
        self.bar.setFormat("Starting…")
        self.run_button.setText("Running…")
        self._show()

    def advanced(self, event: Advanced) -> None:
        """Show the stage, the step and the time left."""
        with QSignalBlocker(self.bar):
            self.bar.setRange(0, event.total)
            self.bar.setValue(event.step)
        steps = f"  {event.step} / {event.total}" if event.total > 1 else ""
        self.bar.setFormat(f"{event.stage}{steps}")
        left = "" if event.seconds_left is None else f"  ·  {clock(event.seconds_left)} left"
        self.run_button.setText(f"Running{left}" if left else "Running…")

    def ended(self, sentence: str | None) -> None:
        """Be ready for the next run; say how this one went."""
        self._running = False
        self._outcome = sentence or ""
        self._show()

    def _show(self) -> None:
        self.bar.setVisible(self._running)
        self.stop_button.setEnabled(self._running)
        self.run_button.setEnabled(self.can_run)
        if not self._running:
            self.run_button.setText("Run")
        self.run_button.setToolTip(self._refusal or _RUN_TIP)
        self.run_button.setAccessibleDescription(self._refusal or "")
        text = "" if self._running else self._refusal or self._note or self._outcome
        self.message.setText(text)
        self.message.setVisible(bool(text))


def clock(seconds: float) -> str:
    """Minutes and seconds, as on a clock: 0:09, 1:05."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}:{rest:02}"
