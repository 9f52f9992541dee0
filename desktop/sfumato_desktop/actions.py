"""The actions of a window, made from the table, and the menus made from the actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from sfumato_desktop import icons
from sfumato_desktop.action_table import ACTIONS, SPECS, Spec


def native(key: str) -> str:
    """A key as this platform writes it."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


class Actions(QObject):
    """The actions of one window, made from the registry."""

    def __init__(self, window: QWidget, canvas: QWidget) -> None:
        super().__init__(window)
        self._made = {spec.name: self._make(spec) for spec in SPECS}
        window.addActions([self._made[spec.name] for spec in SPECS if spec.scope == "window"])
        canvas.addActions([self._made[spec.name] for spec in SPECS if spec.scope == "canvas"])

    def __getitem__(self, name: str) -> QAction:
        return self._made[name]

    def bind(self, handlers: Mapping[str, Callable[..., object]]) -> None:
        """Connect actions by name; handlers of checkable actions receive the new state."""
        for name, handler in handlers.items():
            action = self._made[name]
            if action.isCheckable():
                action.toggled.connect(handler)
            else:
                action.triggered.connect(lambda _checked=False, call=handler: call())

    def have_document(self, present: bool) -> None:
        for spec in SPECS:
            if spec.needs_document:
                self._made[spec.name].setEnabled(present)

    def fill(self, bar: QMenuBar) -> dict[str, QMenu]:
        """Build the menus; returns them by title without its mark."""
        menus: dict[str, QMenu] = {}
        menu: QMenu | None = None
        for spec in ACTIONS:
            if spec is None:
                if menu is not None:
                    menu.addSeparator()
                continue
            title = spec.menu.replace("&", "")
            if title not in menus:
                menus[title] = bar.addMenu(spec.menu)
                menus[title].setObjectName(f"menu_{title.lower()}")
                menus[title].setToolTipsVisible(True)
            menu = menus[title]
            menu.addAction(self._made[spec.name])
        return menus

    def _make(self, spec: Spec) -> QAction:
        action = QAction(spec.text, self)
        action.setObjectName(f"action_{spec.name}")
        action.setCheckable(spec.checkable)
        action.setShortcuts([QKeySequence(key) for key in spec.keys])
        if spec.scope == "canvas":
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        keys = (
            f" ({QKeySequence(spec.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)})"
            if spec.keys
            else ""
        )
        action.setToolTip(f"{spec.tip}{keys}")
        if spec.icon:
            action.setIcon(icons.icon(spec.icon))
        if spec.checkable:
            action.setIconVisibleInMenu(False)  # there the check mark is what matters
        return action
