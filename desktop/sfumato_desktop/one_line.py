"""A line of text that leaves undo to the window's one stack."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QLineEdit

_MINE = (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)


class OneLine(QLineEdit):
    """`textEdited` is what the person typed; `show_text` says nothing."""

    turned = Signal(int)
    """Ctrl+Up (1) or Ctrl+Down (-1): more or less of what the line names."""

    def __init__(self, longest: int = 2000) -> None:
        super().__init__()
        self.setMaxLength(longest)

    def show_text(self, text: str) -> None:
        """Show a text; the cursor stays where it was if nothing changes."""
        if text != self.text():
            with QSignalBlocker(self):
                self.setText(text)

    def event(self, event: QEvent) -> bool:
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and any(event.matches(key) for key in _MINE)
        ):
            event.ignore()
            return False
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        turns = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier and event.key() in turns:
            self.turned.emit(turns[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)
