"""Our line icons: drawn from SVG at the size that is needed, in the colours of the theme in force."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from sfumato_desktop import theme


@cache
def _source(name: str) -> str:
    return files("sfumato_resources").joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")


@cache
def _drawing(name: str, colour: str) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour).encode()))


def pixmap(name: str, colour: str, size: int, ratio: float = 1.0) -> QPixmap:
    """Icon `name` in one colour, `size` logical pixels square."""
    drawn = QPixmap(QSize(size, size) * ratio)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    _drawing(name, QColor(colour).name()).render(painter, QRectF(drawn.rect()))
    painter.end()
    drawn.setDevicePixelRatio(ratio)
    return drawn


def icon(name: str, role: str = "text") -> QIcon:
    """Icon `name` for buttons and menus, in the theme's colour of that role, whichever theme comes."""
    return QIcon(_Engine(name, role))


class _Engine(QIconEngine):
    """Looks its colour up when it is painted, so that nothing has to be told when the theme changes."""

    def __init__(self, name: str, role: str) -> None:
        super().__init__()
        self._name, self._role = name, role

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        colours = theme.current()
        colour = getattr(colours, self._role)
        if mode == QIcon.Mode.Disabled:
            colour = colours.disabled
        elif state == QIcon.State.On and self._role == "text":  # an open row of a tree is "on" too
            colour = colours.on_accent
        _drawing(self._name, QColor(colour).name()).render(painter, QRectF(rect))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        drawn = QPixmap(size)
        drawn.fill(Qt.GlobalColor.transparent)
        painter = QPainter(drawn)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return drawn

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._role)
