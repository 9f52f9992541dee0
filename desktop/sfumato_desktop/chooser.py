"""A list to choose from that says what each choice is, and why some cannot be taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from sfumato_desktop.fields import WheelGuard
from sfumato_desktop.named import named
from sfumato_desktop.second_line import set_muted

_LABEL_WIDTH = 74


@dataclass(frozen=True)
class Option:
    """One choice; with a refusal it can be seen but not taken."""

    name: str
    title: str
    refusal: str | None = None


class Chooser(QWidget):
    """A label, a list and a description below."""

    chosen = Signal(str)

    def __init__(self, label: str, name: str, tip: str) -> None:
        super().__init__()
        self._options: tuple[Option, ...] = ()
        self.combo = named(QComboBox(), name, label, tip)
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._model = QStandardItemModel(self)
        self.combo.setModel(self._model)
        self._guard = WheelGuard(self)
        self._guard.guard(self.combo)
        self.description = named(QLabel(), f"{name}_description", f"{label}: description", tip)
        self.description.setWordWrap(True)
        self.description.setTextFormat(Qt.TextFormat.RichText)
        self.description.setOpenExternalLinks(True)
        set_muted(self.description)
        title = QLabel(label)
        title.setBuddy(self.combo)
        title.setFixedWidth(_LABEL_WIDTH)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(title)
        row.addWidget(self.combo, 1)
        self._row = row
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.description)
        self.combo.currentIndexChanged.connect(lambda _: self.chosen.emit(self.combo.currentData()))

    def show_options(self, options: Sequence[Option], current: str) -> None:
        """Show the choices with one of them taken; emits nothing."""
        with QSignalBlocker(self.combo):
            shown = tuple(_shown(option, current) for option in options)
            if shown != self._options:
                self._options = shown
                self._fill()
            self.combo.setCurrentIndex(self.combo.findData(current))

    def add_beside(self, button: QWidget) -> None:
        """Put something beside the list."""
        self._row.addWidget(button)

    def describe(self, text: str) -> None:
        """Show rich text below the list."""
        self.description.setText(text)
        self.description.setVisible(bool(text))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            text = self.description.text()
            self.description.clear()  # a link keeps the colour it was laid out with
            self.description.setText(text)

    def _fill(self) -> None:
        self._model.clear()
        for option in self._options:
            item = QStandardItem(option.refusal or option.title)
            item.setData(option.name, Qt.ItemDataRole.UserRole)
            item.setToolTip(option.refusal or option.title)
            item.setEnabled(option.refusal is None)
            self._model.appendRow(item)


def _shown(option: Option, current: str) -> Option:
    """What is taken goes by its title even where it cannot work: why stands under Run."""
    return replace(option, refusal=None) if option.name == current else option
