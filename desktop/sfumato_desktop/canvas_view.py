"""Where the document is on the screen: zoom and position, without any widget."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QTransform

SMALLEST, LARGEST = 0.01, 64.0
_BELOW = (0.02, 0.03, 0.05, 1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3)
LADDER = (*_BELOW, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)
MARGIN = 24.0
"""Logical pixels left free around a fitted picture."""


@dataclass
class View:
    """`zoom` is screen (device) pixels per document pixel; `centre` the document point in the middle."""

    document: QSizeF
    window: QSizeF
    ratio: float = 1.0
    zoom: float = 1.0
    centre: QPointF | None = None
    fitted: bool = True

    @property
    def scale(self) -> float:
        """Logical pixels per document pixel."""
        return self.zoom / self.ratio

    def transform(self) -> QTransform:
        """Document to widget, with the origin on a whole screen pixel so that 100 % is sharp."""
        centre = self.centre or QPointF(self.document.width() / 2, self.document.height() / 2)
        x = round(self.window.width() * self.ratio / 2 - centre.x() * self.zoom) / self.ratio
        y = round(self.window.height() * self.ratio / 2 - centre.y() * self.zoom) / self.ratio
        return QTransform(self.scale, 0, 0, self.scale, x, y)

    def to_document(self, point: QPointF) -> QPointF:
        return self.transform().inverted()[0].map(point)

    def to_widget(self, rect: QRectF) -> QRectF:
        return self.transform().mapRect(rect)

    def resize(self, window: QSizeF, ratio: float) -> None:
        """Follow the widget; a fitted picture stays fitted."""
        self.window, self.ratio = window, ratio
        if self.fitted:
            self.fit()

    def fit(self) -> None:
        """Show the whole document, small ones enlarged up to eight times."""
        room_x = max(1.0, self.window.width() - 2 * MARGIN) * self.ratio
        room_y = max(1.0, self.window.height() - 2 * MARGIN) * self.ratio
        zoom = min(room_x / max(1.0, self.document.width()), room_y / max(1.0, self.document.height()), 8.0)
        self.zoom = max(SMALLEST, zoom)
        self.centre = None
        self.fitted = True

    def zoom_to(self, zoom: float, at: QPointF) -> None:
        """Set the zoom, keeping the document point under widget point `at` where it is."""
        fixed = self.to_document(at)
        self.zoom = min(LARGEST, max(SMALLEST, zoom))
        middle = QPointF(self.window.width() / 2, self.window.height() / 2)
        self.centre = self._kept_near(fixed + (middle - at) / self.scale)
        self.fitted = False

    def step(self, direction: int, at: QPointF) -> None:
        """Zoom to the next rung of the ladder, in (1) or out (-1)."""
        near = 1e-3
        if direction > 0:
            zoom = next((rung for rung in LADDER if rung > self.zoom * (1 + near)), LARGEST)
        else:
            zoom = next((rung for rung in reversed(LADDER) if rung < self.zoom * (1 - near)), SMALLEST)
        self.zoom_to(zoom, at)

    def pan(self, by: QPointF) -> None:
        """Move the picture by logical pixels."""
        centre = self.centre or QPointF(self.document.width() / 2, self.document.height() / 2)
        self.centre = self._kept_near(centre - by / self.scale)
        self.fitted = False

    def _kept_near(self, centre: QPointF) -> QPointF:
        """The picture cannot be lost: some of it always stays in the middle of the window."""
        return QPointF(
            min(max(centre.x(), 0.0), self.document.width()),
            min(max(centre.y(), 0.0), self.document.height()),
        )


def mip_level(zoom: float, levels: int) -> int:
    """How many halvings to take ready-made, so that less than a factor of two is left to the painter."""
    return 0 if zoom >= 1 else min(levels - 1, math.floor(-math.log2(zoom) + 1e-6))
