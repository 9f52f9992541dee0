"""The start screen: open, try a sample, recent, or drop a picture anywhere."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from sfumato_desktop import icons
from sfumato_desktop.actions import Actions
from sfumato_desktop.named import named, push_button
from sfumato_desktop.samples import Sample

_ROOMY, _NARROW = 680, 500
"""From these widths on, samples stand three and two in a row."""
_RECENT = 4


class StartScreen(QScrollArea):
    """What the window shows while no picture is open."""

    open_path = Signal(Path)
    open_sample = Signal(Sample)

    def __init__(self, actions: Actions, samples: Sequence[Sample]) -> None:
        super().__init__()
        named(self, "start", "Start")
        self._actions = actions
        card = QFrame()
        card.setObjectName("start_card")
        card.setMaximumWidth(800)
        inside = QVBoxLayout(card)
        inside.setContentsMargins(24, 18, 24, 22)
        inside.setSpacing(12)
        inside.addLayout(_headline())
        inside.addWidget(self._drop_zone())
        inside.addWidget(_caption("Try a sample"))
        self._samples = self._sample_buttons(samples)
        self._grid = QGridLayout()
        self._grid.setSpacing(8)
        inside.addLayout(self._grid)
        self._recent_caption = _caption("Recent")
        inside.addWidget(self._recent_caption)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(0)
        inside.addLayout(self._recent)
        page = QWidget()
        page.setObjectName("start_page")
        outside = QGridLayout(page)
        outside.setContentsMargins(16, 16, 16, 16)
        outside.addWidget(card, 1, 1)
        for edge in (0, 2):
            outside.setRowStretch(edge, 1)
            outside.setColumnStretch(edge, 1)
        outside.setColumnStretch(1, 100)
        self.setWidget(page)
        self.setWidgetResizable(True)

    def _drop_zone(self) -> QFrame:
        self._drop = named(QFrame(), "start_drop", "Drop a picture here")
        column = QVBoxLayout(self._drop)
        column.setContentsMargins(16, 10, 16, 14)
        row, buttons = QHBoxLayout(), QHBoxLayout()
        mark = QLabel()
        mark.setPixmap(icons.icon("image", "muted").pixmap(36, 36))
        self._open = push_button("Open a photo…", "start_open", self._actions["open"].toolTip())
        self._open.setProperty("primary", "true")
        self._open.clicked.connect(self._actions["open"].trigger)
        self._paste = push_button("Paste", "start_paste", self._actions["new_from_clipboard"].toolTip())
        self._paste.clicked.connect(self._actions["new_from_clipboard"].trigger)
        self._draw = push_button("From words…", "start_words", self._actions["new_from_words"].toolTip())
        self._draw.clicked.connect(self._actions["new_from_words"].trigger)
        hint = QLabel("Drop a photo or a project anywhere in this window, or")
        row.addWidget(mark)
        row.addSpacing(6)
        hint.setWordWrap(True)
        row.addWidget(hint, 1)
        for button in (self._open, self._paste, self._draw):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column.addLayout(row)
        column.addLayout(buttons)
        self.setFocusProxy(self._open)
        return self._drop

    def _sample_buttons(self, samples: Sequence[Sample]) -> list[QToolButton]:
        buttons = []
        for sample in samples:
            tip = f"Opens with: {sample.source} → {sample.target}"
            button = named(QToolButton(), "sample", sample.title, tip)
            button.setText(textwrap.fill(sample.title, 18, initial_indent="  ", subsequent_indent="  "))
            button.setIcon(_thumbnail(sample.path))
            button.setIconSize(QSize(52, 52))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _checked=False, chosen=sample: self.open_sample.emit(chosen))
            buttons.append(button)
        return buttons

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        columns = 3 if self.width() >= _ROOMY else 2 if self.width() >= _NARROW else 1
        for number, button in enumerate(self._samples):
            self._grid.addWidget(button, number // columns, number % columns)
        for column in range(3):
            self._grid.setColumnStretch(column, int(column < columns))

    def show_recent(self, paths: Sequence[Path]) -> None:
        """List files to open again."""
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self._recent_caption.setVisible(bool(paths))
        for path in paths[:_RECENT]:
            button = named(QToolButton(), "recent", f"Open {path.name}", str(path))
            metrics = button.fontMetrics()
            name = metrics.elidedText(path.name, Qt.TextElideMode.ElideMiddle, 180)
            folder = metrics.elidedText(str(path.parent), Qt.TextElideMode.ElideMiddle, 240)
            button.setText(f"{name}   —   {folder}")
            button.setAutoRaise(True)
            button.clicked.connect(lambda _checked=False, chosen=path: self.open_path.emit(chosen))
            self._recent.addWidget(button, alignment=Qt.AlignmentFlag.AlignLeft)

    def show_dragging(self, over: bool) -> None:
        """Light up while something that can be opened hovers."""
        self._drop.setProperty("over", "true" if over else "false")
        self._drop.style().unpolish(self._drop)
        self._drop.style().polish(self._drop)


def _headline() -> QVBoxLayout:
    column = QVBoxLayout()
    column.setSpacing(2)
    title = QLabel("Sfumato")
    title.setObjectName("start_title")
    promise = QLabel(
        "Say what the photo shows and what it should show. Only that changes; nothing leaves this machine."
    )
    promise.setProperty("muted", "true")
    promise.setWordWrap(True)
    column.addWidget(title)
    column.addWidget(promise)
    return column


def _caption(text: str) -> QLabel:
    caption = QLabel(text)
    caption.setProperty("muted", "true")
    return caption


def _thumbnail(path: Path) -> QIcon:
    drawn = QPixmap(str(path))
    across = Qt.TransformationMode.SmoothTransformation
    return QIcon(drawn.scaled(160, 160, Qt.AspectRatioMode.KeepAspectRatio, across))
