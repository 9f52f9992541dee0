"""Docks with a title bar of our own, so that its buttons have names, tips and icons of the theme."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QToolButton, QWidget

from sfumato_desktop import icons
from sfumato_desktop.named import named


class Dock(QDockWidget):
    """A closable, floatable dock; `name` is stable, for saved layouts, tests and screen readers."""

    def __init__(self, title: str, name: str, content: QWidget) -> None:
        super().__init__(title)
        named(self, name, title)
        self.setToolTip("")
        self.setWidget(content)
        self._float = self._button(
            "float", f"{name}_float", f"Float {title}", "Take the dock out or put it back"
        )
        self._close = self._button("close", f"{name}_close", f"Close {title}", "Close; Window brings it back")
        self._float.clicked.connect(lambda: self.setFloating(not self.isFloating()))
        self._close.clicked.connect(self.close)
        bar = QWidget()
        bar.setObjectName("dock_title")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(bar)
        row.setContentsMargins(10, 3, 4, 3)
        row.setSpacing(0)
        row.addWidget(QLabel(title))
        row.addStretch(1)
        row.addWidget(self._float)
        row.addWidget(self._close)
        self.setTitleBarWidget(bar)

    def _button(self, icon: str, name: str, accessible: str, tip: str) -> QToolButton:
        button = named(QToolButton(), name, accessible, tip)
        button.setIcon(icons.icon(icon))
        button.setIconSize(QSize(14, 14))
        button.setAutoRaise(True)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        return button
