"""One line on how far the photo's inversion is, and a button to make it now."""

from __future__ import annotations

from html import escape
from typing import Literal

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from sfumato_desktop.change_marks import ink
from sfumato_desktop.named import named, push_button

Level = Literal["idle", "busy", "good", "warning", "bad"]
_SIGNS: dict[str, str] = {"busy": "◐", "good": "✓", "warning": "⚠", "bad": "✕"}


class InversionLine(QWidget):
    """A sign, a sentence and a button."""

    invert = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._text, self._level = "Not inverted", "idle"
        tip = "An inverted photo is kept, so that every further edit of it is quick"
        self.label = named(QLabel(), "inversion_status", "Inversion", tip)
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setWordWrap(True)
        self.button = push_button("Invert now", "invert_now", "Invert the photo now (Ctrl+I)")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        self.button.clicked.connect(self.invert)
        self._draw()

    def set_status(self, text: str, level: str) -> None:
        """Show a sentence; the level is one of `Level`, and anything else counts as idle."""
        self._text, self._level = text, level
        self._draw()

    def allow(self, refusal: str | None) -> None:
        """Let the button be pressed, or say why not."""
        self.button.setEnabled(refusal is None)
        self.button.setToolTip(refusal or "Invert the photo now (Ctrl+I)")

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()

    def _draw(self) -> None:
        sign = _SIGNS.get(self._level, "○")
        colour = self.palette().windowText().color()
        if self._level in ("good", "warning", "bad"):
            colour = ink(self._level, self.palette().window().color())
        self.label.setText(f'<span style="color:{colour.name()}">{sign}</span>&nbsp; {escape(self._text)}')
        self.label.setAccessibleDescription(self._text)
