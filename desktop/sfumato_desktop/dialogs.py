"""The window's small dialogs: an error, the shortcut sheet, methods and plugins, offline, about."""

from __future__ import annotations

import traceback
from importlib.metadata import version

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from sfumato.errors import SfumatoError
from sfumato.events import Broken, Ready
from sfumato_desktop import icons, theme
from sfumato_desktop.action_table import GESTURES, SPECS
from sfumato_desktop.actions import native
from sfumato_desktop.named import named, push_button

_RESPELT = set("{}")
"""Shift and a bracket, as some keyboards report them; registered, but not shown twice."""


class Dialog(QDialog):
    """A titled dialog with a Close button; it deletes itself when closed."""

    def __init__(self, parent: QWidget | None, name: str, title: str) -> None:
        super().__init__(parent)
        named(self, name, title)
        self.setToolTip("")
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.body = QVBoxLayout()
        self.body.setSpacing(10)
        self.buttons = QDialogButtonBox()
        self.buttons.setObjectName("dialog_buttons")
        close = self.buttons.addButton(QDialogButtonBox.StandardButton.Close)
        named(close, "dialog_close", "Close", "Close (Esc)")
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 14)
        layout.setSpacing(14)
        layout.addLayout(self.body, 1)
        layout.addWidget(self.buttons)

    def add_text(self, text: str, *, muted: bool = False) -> QLabel:
        words = QLabel(text)
        words.setWordWrap(True)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if muted:
            words.setProperty("muted", "true")
        self.body.addWidget(words)
        return words


def show_error(parent: QWidget | None, error: SfumatoError) -> Dialog:
    """Say what happened, what was kept and what to do; details can be copied."""
    dialog = Dialog(parent, "error", "Sfumato")
    dialog.setMinimumWidth(440)
    mark = QLabel()
    mark.setPixmap(icons.pixmap("warning", theme.current().warning, 32, dialog.devicePixelRatioF()))
    what = QLabel(error.what)
    what.setObjectName("error_what")
    what.setWordWrap(True)
    row = QHBoxLayout()
    row.setSpacing(12)
    row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
    row.addWidget(what, 1)
    dialog.body.addLayout(row)
    for sentence in (error.kept, error.advice):
        if sentence:
            dialog.add_text(sentence, muted=True)
    dialog.body.addStretch(1)
    copy = push_button("Copy details", "error_copy", "Copy everything known about this error")
    details = "".join(traceback.format_exception(error))
    copy.setAutoDefault(False)
    copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(details))
    dialog.buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
    dialog.open()
    return dialog


def show_shortcuts(parent: QWidget) -> Dialog:
    """Every action with its keys, and what the mouse does."""
    dialog = Dialog(parent, "shortcut_sheet", "Shortcuts")
    dialog.resize(560, 560)
    table = _table("shortcut_table", "Shortcuts", ("Action", "Key"))
    for menu in dict.fromkeys(spec.menu for spec in SPECS):
        group = _group(table, menu.replace("&", ""))
        for spec in SPECS:
            if spec.menu == menu and spec.keys:
                keys = "  or  ".join(
                    dict.fromkeys(native(key) for key in spec.keys if not _RESPELT & set(key))
                )
                QTreeWidgetItem(group, [spec.text.replace("&", ""), keys])
        group.setHidden(group.childCount() == 0)
    mouse = _group(table, "On the picture")
    for gesture, does in GESTURES:
        QTreeWidgetItem(mouse, [does, gesture])
    table.expandAll()
    dialog.body.addWidget(table)
    dialog.add_text(
        "Single letters work while the picture has the keyboard: click it, or leave a text field with Esc.",
        muted=True,
    )
    dialog.open()
    return dialog


def show_plugins(parent: QWidget, ready: Ready | None, panels: tuple[Broken, ...] = ()) -> Dialog:
    """Methods and models with their origin, and what could not be used, with the reason."""
    dialog = Dialog(parent, "plugins", "Methods and plugins")
    dialog.resize(720, 520)
    table = _table("plugin_table", "Methods and plugins", ("Name", "What it does", "From"))
    if ready is None:
        dialog.add_text("Methods are still being loaded.")
    else:
        _fill_plugins(table, ready, ready.broken + panels)
    dialog.body.addWidget(table)
    dialog.open()
    return dialog


def _fill_plugins(table: QTreeWidget, ready: Ready, failed: tuple[Broken, ...]) -> None:
    if failed:
        broken = _group(table, "Could not be used")
        broken.setIcon(0, icons.icon("warning", "warning"))
        for each in failed:
            item = QTreeWidgetItem(broken, [each.plugin, each.error])
            item.setToolTip(1, each.details or each.error)
    for kind, title in (("editor", "Ways to edit"), ("inverter", "Ways to invert")):
        group = _group(table, title)
        for method in ready.methods:
            if method.kind == kind:
                item = QTreeWidgetItem(group, [method.title, method.summary, method.origin])
                item.setToolTip(1, "\n".join(filter(None, (method.summary, method.paper))))
    models = _group(table, "Models")
    for model in ready.models:
        QTreeWidgetItem(models, [model.title, model.note or f"{model.size} px", ""])
    table.expandAll()


def _group(table: QTreeWidget, title: str) -> QTreeWidgetItem:
    group = QTreeWidgetItem(table, [title])
    font = group.font(0)
    font.setBold(True)
    group.setFont(0, font)
    group.setFirstColumnSpanned(True)
    return group


def _table(name: str, accessible: str, titles: tuple[str, ...]) -> QTreeWidget:
    table = named(QTreeWidget(), name, accessible)
    table.setToolTip("")
    table.setHeaderLabels(list(titles))
    table.setRootIsDecorated(False)
    table.setSelectionMode(QTreeWidget.SelectionMode.NoSelection)
    named(table.header(), f"{name}_header", f"{accessible}: columns")
    for column in range(len(titles)):
        table.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    table.header().setStretchLastSection(False)
    table.header().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    return table


def show_offline(parent: QWidget) -> Dialog:
    """How anyone can check the promise."""
    dialog = Dialog(parent, "offline_page", "Offline")
    dialog.setMinimumWidth(460)
    dialog.add_text(
        "Sfumato does not use the network unless you ask it to fetch a model by its name. "
        "Photos, prompts and results stay on this machine."
    )
    dialog.add_text(
        "The models are files on your disk and are opened with downloads switched off "
        "(HF_HUB_OFFLINE=1, local files only, no telemetry, no update check, no crash upload).",
        muted=True,
    )
    dialog.add_text(
        "To see for yourself, start it where there is no network at all:  unshare -rn sfumato", muted=True
    )
    dialog.body.addStretch(1)
    dialog.open()
    return dialog


def show_about(parent: QWidget) -> Dialog:
    dialog = Dialog(parent, "about", "About Sfumato")
    dialog.setMinimumWidth(380)
    dialog.add_text(f"Sfumato {version('sfumato')}")
    dialog.add_text(
        "An offline picture editor that changes what you ask for and nothing else. Apache-2.0.", muted=True
    )
    dialog.body.addStretch(1)
    dialog.open()
    return dialog
