"""Controls with everything a person or a screen reader needs: name, tooltip and a stable object name."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QSizePolicy, QToolButton, QWidget


class ElidedLabel(QLabel):
    """One line that ends in … where there is no room for all of it."""

    def __init__(self) -> None:
        super().__init__()
        self._full = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    @property
    def full_text(self) -> str:
        return self._full

    def show_text(self, text: str) -> None:
        """Show as much of `text` as fits; the tooltip has all of it."""
        self._full = text
        self.setToolTip(text)
        self.updateGeometry()
        self._elide()

    def sizeHint(self) -> QSize:
        room = self.contentsMargins().left() + self.contentsMargins().right() + 14
        return QSize(self.fontMetrics().horizontalAdvance(self._full) + room, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.contentsRect().width() - 12
        self.setText(self.fontMetrics().elidedText(self._full, Qt.TextElideMode.ElideRight, room))


W = TypeVar("W", bound=QWidget)


def named(widget: W, name: str, accessible: str, tip: str = "") -> W:
    """Give a widget its object name, accessible name and tooltip; returns it."""
    widget.setObjectName(name)
    widget.setAccessibleName(accessible)
    widget.setToolTip(tip or accessible)
    return widget


def tool_button(action: QAction, size: int = 18) -> QToolButton:
    """A flat button for an action, named after it."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setAutoRaise(True)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setIconSize(QSize(size, size))
    return named(button, f"button_{action.objectName()}", action.text().replace("&", ""), action.toolTip())


def push_button(text: str, name: str, tip: str) -> QPushButton:
    return named(QPushButton(text), name, text.replace("&", "").rstrip("…"), tip)


def label(text: str, name: str, accessible: str, tip: str = "") -> QLabel:
    return named(QLabel(text), name, accessible, tip)


def scrolled(body: QWidget, name: str, accessible: str) -> QScrollArea:
    """A frameless area that scrolls `body` up and down, never sideways."""
    scroll = named(QScrollArea(), name, accessible, "")
    scroll.setToolTip("")
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidgetResizable(True)
    scroll.setWidget(body)
    return scroll
