"""The seed, whether it stays, and a die to throw a new one."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from PySide6.QtCore import QRegularExpression, Qt, Signal
from PySide6.QtGui import QRegularExpressionValidator
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from sfumato_desktop.forms import LABEL_WIDTH, RESET_WIDTH
from sfumato_desktop.glyphs import GlyphButton
from sfumato_desktop.named import named

_END = 2**63
_FLAT = "QToolButton:checked { background: transparent }"


def throw() -> int:
    """A new seed, short enough to read out."""
    return secrets.randbelow(2**31)


class SeedField(QWidget):
    """A seed below 2^63. Unlocked, every run starts from a new one."""

    edited = Signal()

    def __init__(self, draw: Callable[[], int] = throw) -> None:
        super().__init__()
        self._draw = draw
        self._seed = 0
        self.line = named(QLineEdit("0"), "seed", "Seed", "The same seed gives the same picture")
        self.line.setValidator(QRegularExpressionValidator(QRegularExpression(r"\d{1,19}"), self))
        self.dice = GlyphButton("dice", "seed_dice", "New seed", "Take another seed")
        self.lock = GlyphButton("lock", "seed_lock", "Keep the seed", "")
        self.lock.setCheckable(True)
        self.lock.setStyleSheet(_FLAT)
        label = QLabel("Seed")
        label.setBuddy(self.line)
        label.setFixedWidth(LABEL_WIDTH + RESET_WIDTH + 6)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(label)
        row.addWidget(self.line, 1)
        row.addWidget(self.dice, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.lock, 0, Qt.AlignmentFlag.AlignVCenter)
        self.line.textEdited.connect(self._typed)
        self.line.editingFinished.connect(self._settle)
        self.dice.clicked.connect(self.renew)
        self.lock.toggled.connect(self._show_lock)
        self.lock.setChecked(True)

    def value(self) -> int:
        return self._seed

    def set_value(self, seed: int) -> None:
        """Show a seed, without `edited`."""
        if seed != self._seed:
            self._seed = seed
            self.line.setText(str(seed))

    def locked(self) -> bool:
        return self.lock.isChecked()

    def renew(self) -> None:
        """Throw a new seed."""
        self.set_value(self._draw())
        self.edited.emit()

    def _typed(self, text: str) -> None:
        if text and int(text) < _END and int(text) != self._seed:
            self._seed = int(text)
            self.edited.emit()

    def _settle(self) -> None:
        """Show what counts, should the entry be empty or too large."""
        self.line.setText(str(self._seed))

    def _show_lock(self, locked: bool) -> None:
        self.lock.set_glyph("lock" if locked else "unlock")
        self.lock.setToolTip("The seed stays" if locked else "Every run takes a new seed")
