"""The tools at the left and the options bar above the canvas."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QSlider, QSpinBox, QToolBar, QWidget

from sfumato_desktop.actions import Actions
from sfumato_desktop.brush_settings import BrushSettings
from sfumato_desktop.named import named, tool_button

_TOOLS = ("hand", "brush", "eraser", "", "quick_mask", "overlay", "", "wipe")
_MASK = ("select_all", "select_invert", "select_none")
_VIEW = ("undo", "redo", "", "zoom_out", "zoom_in", "fit")


def tools_bar(actions: Actions) -> QToolBar:
    """Tools and canvas modes, down the left side."""
    bar = _bar("tools", "Tools")
    bar.setOrientation(Qt.Orientation.Vertical)
    _fill(bar, actions, _TOOLS, 20)
    return bar


class OptionsBar(QToolBar):
    """Brush size and hardness, mask commands, undo, zoom."""

    def __init__(self, actions: Actions, brush: BrushSettings) -> None:
        super().__init__("Options")
        _name(self, "options", "Options")
        self._brush = brush
        self._size = named(QSpinBox(), "brush_size", "Brush size in pixels", "Brush size ([ and ])")
        self._size.setRange(1, 2000)
        self._size.setSuffix(" px")
        self._size.setKeyboardTracking(False)
        self._hardness = named(
            QSlider(Qt.Orientation.Horizontal),
            "brush_hardness",
            "Brush hardness",
            "Hardness (Shift+[ and Shift+])",
        )
        self._hardness.setRange(0, 100)
        self._hardness.setFixedWidth(96)
        self._percent = QLabel()
        self._percent.setMinimumWidth(self._percent.fontMetrics().horizontalAdvance("100 %") + 12)
        self.addWidget(QLabel("Mask brush"))
        self.addWidget(self._size)
        self.addWidget(QLabel("Hardness"))
        self.addWidget(self._hardness)
        self.addWidget(self._percent)
        self.addSeparator()
        self.addWidget(QLabel("Mask"))
        _fill(self, actions, _MASK, 18)
        rest = QWidget()
        rest.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(rest)
        _fill(self, actions, _VIEW, 18)
        self._size.valueChanged.connect(brush.set_size)
        self._hardness.valueChanged.connect(lambda percent: brush.set_hardness(percent / 100))
        brush.changed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        percent = round(self._brush.hardness * 100)
        for control, value in ((self._size, self._brush.size), (self._hardness, percent)):
            control.blockSignals(True)
            control.setValue(value)
            control.blockSignals(False)
        self._percent.setText(f"{percent} %")


def _bar(name: str, title: str) -> QToolBar:
    return _name(QToolBar(title), name, title)


def _name(bar: QToolBar, name: str, title: str) -> QToolBar:
    named(bar, name, title)
    bar.setToolTip("")
    bar.setMovable(False)
    bar.setIconSize(QSize(20, 20))
    return bar


def _fill(bar: QToolBar, actions: Actions, names: tuple[str, ...], size: int) -> None:
    for name in names:
        if name:
            bar.addWidget(tool_button(actions[name], size))
        else:
            bar.addSeparator()
