"""Our line icons, drawn from SVG in the colours of the current theme."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from sfumato_desktop import theme

_SIZES = (16, 20, 24, 32, 40, 48, 64)


@cache
def _source(name: str) -> str:
    return files("sfumato_resources").joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")


def pixmap(name: str, colour: str, size: int, ratio: float = 1.0) -> QPixmap:
    """Icon `name` in one colour, `size` logical pixels square."""
    svg = _source(name).replace("currentColor", QColor(colour).name())
    drawn = QPixmap(QSize(size, size) * ratio)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(drawn.rect()))
    painter.end()
    drawn.setDevicePixelRatio(ratio)
    return drawn


def icon(name: str, colour: str | None = None) -> QIcon:
    """Icon `name` for buttons and menus, in the theme's text colour unless told otherwise."""
    colours = theme.current()
    made = QIcon()
    for size in _SIZES:
        made.addPixmap(pixmap(name, colour or colours.text, size))
        made.addPixmap(pixmap(name, colours.on_accent, size), state=QIcon.State.On)
        made.addPixmap(pixmap(name, colours.disabled, size), QIcon.Mode.Disabled)
    return made
