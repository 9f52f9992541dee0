"""Controls with everything a person or a screen reader needs: name, tooltip and a stable object name."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton, QWidget

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
