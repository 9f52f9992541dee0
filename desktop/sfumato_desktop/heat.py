"""Where a word looked, over the picture: heat that lets the picture through, and a legend with numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QLinearGradient, QPainter

from sfumato.document.geometry import Rect
from sfumato.files.heat import heat

_FAINTEST, _STRONGEST = 0.15, 0.8
"""Opacity where the word looked least and most."""
_FINE = 192
"""Pixels on the longer side of the drawn heat; maps have a few dozen cells."""
_BAR = QSize(90, 10)
_PAD = 8.0


@dataclass(frozen=True, eq=False)
class Heat:
    """One word's map over a region of the document."""

    title: str
    box: Rect
    values: NDArray[np.float32]
    """(h, w), in shares of `whole`."""
    whole: str = "the attention"

    def image(self) -> QImage:
        """The map as transparent colours, smooth."""
        shares = self._shares()
        opacity = _FAINTEST + (_STRONGEST - _FAINTEST) * shares
        cells = np.dstack([heat(shares, top=1.0), np.rint(opacity * 255).astype(np.uint8)])
        height, width = shares.shape
        data = np.ascontiguousarray(cells)
        image = QImage(data.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
        size = QSize(width, height).scaled(_FINE, _FINE, Qt.AspectRatioMode.KeepAspectRatio)
        smooth = Qt.TransformationMode.SmoothTransformation
        ready = image.convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
        return ready.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)

    def at(self, point: QPointF) -> float | None:
        """The value under a point of the document, or None outside the region."""
        left, top, right, bottom = self.box
        if not (left <= point.x() < right and top <= point.y() < bottom):
            return None
        height, width = self.values.shape
        row = int((point.y() - top) / (bottom - top) * height)
        column = int((point.x() - left) / (right - left) * width)
        return float(self.values[row, column])

    def legend(self, hover: QPointF | None) -> tuple[str, str, str]:
        """What the bar's left end and right end stand for, and what is under the mouse."""
        here = None if hover is None else self.at(hover)
        low, high = (_percent(float(each)) for each in (self.values.min(), self.values.max()))
        return low, high, "" if here is None else f"here {_percent(here)}"

    def _shares(self) -> NDArray[np.float64]:
        low, high = float(self.values.min()), float(self.values.max())
        return (self.values.astype(np.float64) - low) / max(high - low, 1e-12)


def paint_legend(painter: QPainter, drawn: Heat, hover: QPointF | None, area: QRectF) -> QRectF:
    """Draw title, bar and numbers at the foot of `area`; return the rectangle they take."""
    low, high, here = drawn.legend(hover)
    metrics = QFontMetricsF(painter.font())
    widths = [metrics.horizontalAdvance(text) for text in (drawn.title, low, high, "here 100 %")]
    line = metrics.height()
    wide = max(widths[0], widths[1] + widths[2] + widths[3] + _BAR.width() + 3 * _PAD)
    chip = QRectF(0, 0, wide + 2 * _PAD, 2 * line + 2 * _PAD + 2)
    chip.moveBottomLeft(area.adjusted(10, 0, 0, -10).bottomLeft())
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 21, 23, 225))
    painter.drawRoundedRect(chip, 5, 5)
    inside = chip.adjusted(_PAD, _PAD, -_PAD, -_PAD)
    x, y = inside.left() + widths[1] + _PAD, inside.top() + line + 2
    bar = QRectF(x, y + (line - _BAR.height()) / 2, _BAR.width(), _BAR.height())
    painter.fillRect(bar, _gradient(bar))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QColor("white"))
    painter.drawText(QPointF(inside.left(), inside.top() + metrics.ascent()), drawn.title)
    foot = y + metrics.ascent()
    painter.drawText(QPointF(inside.left(), foot), low)
    painter.drawText(QPointF(bar.right() + _PAD, foot), high)
    painter.drawText(QPointF(bar.right() + _PAD + widths[2] + _PAD, foot), here)
    return chip


def _gradient(bar: QRectF) -> QLinearGradient:
    colours = heat(np.linspace(0, 1, 9)[None], top=1.0)[0]
    made = QLinearGradient(bar.topLeft(), bar.topRight())
    for place, (red, green, blue) in zip(np.linspace(0, 1, 9), colours.tolist(), strict=True):
        made.setColorAt(float(place), QColor(red, green, blue))
    return made


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
